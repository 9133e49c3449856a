"""The generated articles: in WikiText's layout, the same every time, and with a probability that can be checked."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from datasets.core.errors import DataError
from datasets.wikitext.grammar import Writer
from datasets.wikitext.lexicon import Table, lexicon
from datasets.wikitext.standin import FLOOR, STANDINS, WikiTextSettings, read_floors, write_wikitext
from tests.helpers.wikitext_reader import Reader
from tests.helpers.wikitext_samples import split_by_hand

SETTINGS = WikiTextSettings(7, train=30_000, valid=6_000, test=3_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standin")
    write_wikitext(folder, SETTINGS)
    return folder


def words(folder: Path, split: str) -> list[str]:
    return split_by_hand((folder / f"wiki.{split}.tokens").read_text(), lowercase=False)


def test_the_floor_is_the_probability_of_the_text_read_back(folder: Path) -> None:
    """A choice that is forgotten, or counted but not visible in the text, would move the floor that tables show."""
    for split in ("valid", "test"):
        floor = json.loads((folder / FLOOR).read_text())[split]
        assert Reader((folder / f"wiki.{split}.tokens").read_text()).read() == pytest.approx(floor["nats"], rel=1e-9)
        assert floor["words"] == len(words(folder, split))


def test_probabilities_of_every_table_sum_to_one() -> None:
    known = lexicon()
    tables = [table for table in vars(known).values() if isinstance(table, Table)] + list(known.nouns.values())
    for table in tables:
        assert math.fsum(math.exp(-nats) for nats in table.nats) == pytest.approx(1, abs=1e-12)
        assert len(set(table.symbols)) == len(table.symbols)


def test_symbols_are_drawn_with_the_probabilities_that_are_counted() -> None:
    """Drawn with others, the text would have more entropy than the floor says, or less."""
    writer = Writer(0)
    table = Table({"a": 1, "b": 2, "c": 5})
    drawn = Counter(table.symbols[table.draw(writer._rng)] for _ in range(40_000))
    for symbol, nats in zip(table.symbols, table.nats, strict=True):
        assert drawn[symbol] / 40_000 == pytest.approx(math.exp(-nats), abs=0.01)


def test_no_word_belongs_to_two_classes() -> None:
    """A word of two classes has two derivations: −ln p of one of them is no floor."""
    known = lexicon()
    plain = [known.titles, known.adjectives, known.adverbs, known.prepositions, known.conjunctions, known.sections]
    inflected = [next(iter(known.nouns.values())), known.transitive, known.intransitive, known.saying]
    forms = [word for table in (*plain, known.names) for word in table.symbols]
    forms += [stem + ending for table in inflected for stem in table.symbols for ending in ("", "s")]
    forms += ["is", "are", "that", "the", *"a=,.()", '"', "this", "every", "these", "many", "several"]
    assert len(set(forms)) == len(forms) and all(form == form.lower() for form in forms)


def test_counts_of_words_and_pairs_cannot_reach_the_floor(folder: Path) -> None:
    """If they could, there would be nothing for a network to learn; and none may go below."""
    train, valid = words(folder, "train"), words(folder, "valid")
    floor = read_floors(folder, "")["valid"]
    singles, pairs = Counter(train), Counter(pairwise(train))
    single = {word: (singles[word] + 0.01) / (len(train) + 100) for word in {*train, *valid}}
    unigram = -sum(math.log(single[word]) for word in valid) / len(valid)
    bigram = -sum(
        math.log((pairs[one, two] + 20 * single[two]) / (singles[one] + 20)) for one, two in pairwise(valid)
    ) / len(valid)
    assert floor + 0.5 < bigram < unigram - 0.2


def test_the_layout_is_wikitext_s(folder: Path) -> None:
    text = (folder / "wiki.train.tokens").read_text()
    lines = text.split("\n")[:-1]
    assert text.endswith(" \n") and all(line == " " or (line[0], line[-1]) == (" ", " ") for line in lines)
    headings = [number for number, line in enumerate(lines) if line.startswith(" =")]
    assert all(lines[number - 1] == lines[number + 1] == " " for number in headings)
    levels = Counter(lines[number].split().count("=") // 2 for number in headings)
    assert set(levels) == {1, 2, 3} and all(lines[number].endswith(" = ") for number in headings)
    assert 0.01 < text.split().count("<unk>") / len(text.split()) < 0.04


def test_an_article_s_topic_persists(folder: Path) -> None:
    """Its nouns repeat those of its own first half far more often than those of another article."""
    text = (folder / "wiki.train.tokens").read_text()
    articles = [article.split() for article in re.split(r"(?m)^ = (?!=)", text) if len(article) > 2000]
    nouns = set(next(iter(lexicon().nouns.values())).symbols)
    common = {word for word, _ in Counter(word for article in articles for word in article).most_common(150)}
    halves = [([w for w in a[: len(a) // 2] if w in nouns - common], a[len(a) // 2 :]) for a in articles]
    own = [word in later for first, later in halves for word in first]
    other = [word in later for (first, _), (_, later) in pairwise(halves) for word in first]
    assert sum(own) / len(own) > 2 * sum(other) / len(other)


def test_the_same_settings_give_the_same_bytes_and_other_splits_other_text(tmp_path: Path) -> None:
    settings = WikiTextSettings(1, 2000, 2000, 2000)
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_wikitext(tmp_path / name, settings)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1] and sorted(contents[0]) == sorted(STANDINS["wikitext2"].files)
    assert len(set(contents[0].values())) == 4
    write_wikitext(tmp_path / "two", WikiTextSettings(2, 2000, 2000, 2000))
    texts = {path.read_bytes() for path in tmp_path.glob("*/*.tokens")}
    assert len(texts) == 6


def test_sizes_grow_with_the_profile() -> None:
    settings = STANDINS["wikitext103"].settings
    sizes = [settings.get(name, settings["default"]).train for name in ("smoke", "quick", "long", "paper")]
    assert sizes == [60_000, 400_000, 2_000_000, 2_000_000]


def test_a_damaged_floor_is_one_clear_line(tmp_path: Path) -> None:
    for content in ("{}", "", '{"train": {"words": 0, "nats": 1}}', "[]"):
        (tmp_path / FLOOR).write_text(content)
        with pytest.raises(DataError, match=r"floor\.json is damaged .*; the hint$"):
            read_floors(tmp_path, "the hint")
    (tmp_path / FLOOR).unlink()
    with pytest.raises(DataError, match=r"floor\.json is missing; the hint$"):
        read_floors(tmp_path, "the hint")


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"[]", b'{"train": 1}', b"9" * 5000, b"\xff", b"", b" " * (2 << 20)], ids=range(7)
)
def test_damaged_floors_are_one_line(tmp_path: Path, content: bytes) -> None:
    """JSON that is nested too deep, or has other types, is damage like any other and no traceback."""
    (tmp_path / "floor.json").write_bytes(content)
    with pytest.raises(DataError, match=r"floor\.json (is damaged|has more than 1048576 bytes).*; the hint$"):
        read_floors(tmp_path, "the hint")


@pytest.mark.parametrize("nats", ['"a"', "1e999", "-1", "NaN", "true", "null", "[1]", "9" * 400])
def test_floors_that_are_no_floors_are_one_line(tmp_path: Path, nats: str) -> None:
    """A floor that is not a number goes into the record, and breaks the tables that are made of it."""
    entry = f'{{"nats": {nats}, "words": 2}}'
    (tmp_path / "floor.json").write_text(f'{{"train": {entry}, "valid": {entry}, "test": {entry}}}')
    with pytest.raises(DataError, match=r"floor\.json is damaged \(train: a text of 2 words cannot have .*; the hint$"):
        read_floors(tmp_path, "the hint")
