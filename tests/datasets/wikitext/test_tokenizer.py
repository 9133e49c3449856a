"""BPE and the special tokens, against byte-pair encoding by its definition."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.core.errors import DataError
from datasets.wikitext.tokenizer import Tokenization, WordTokenizer
from tests import REPOSITORY
from tests.helpers.wikitext_samples import count_merges_by_hand, encode_by_hand, random_text, split_by_hand

TEXT = random_text(300)
BOTH, NEITHER = Tokenization(290), Tokenization(290, False, "drop", "text")


def trained(settings: Tokenization, text: str = TEXT) -> WordTokenizer:
    return WordTokenizer.train([split_by_hand(text, settings.lowercase)], settings, "the text")


def encoded(tokenizer: WordTokenizer, words: list[str]) -> list[int]:
    return [number for ids in tokenizer.encode(words) for number in ids]


@pytest.mark.parametrize("settings", [BOTH, NEITHER, Tokenization(290, True, "drop", "token")])
def test_ids_are_those_of_the_merges_applied_by_hand(settings: Tokenization) -> None:
    """A token across two words, or a word that depends on its neighbours, would make cached ids wrong."""
    tokenizer = trained(settings)
    words = split_by_hand(TEXT + " unseen Straße \n", settings.lowercase)
    assert encoded(tokenizer, words) == encode_by_hand(words, tokenizer.to_json(), tokenizer.special)
    assert tokenizer.size == 290 and max(encoded(tokenizer, words)) < 290


def test_merges_are_the_most_frequent_pairs() -> None:
    """Merges of anything else (of line ends, of `<unk>`, of pairs in distinct words) would still encode and decode."""
    ordinary = ["a"] * 7 + ["ab"] * 50 + ["xab"] * 23 + ["xc"] * 5
    words = [*ordinary, *["\n"] * 300, *["<unk>"] * 400]
    tokenizer = WordTokenizer.train([words[:40], words[40:]], Tokenization(256 + 2 + 4), "the text")
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_json())["model"]["merges"]]
    assert merges == count_merges_by_hand(ordinary, 4) == [("a", "b"), ("Ġ", "ab"), ("Ġ", "x"), ("Ġx", "ab")]


def test_the_text_comes_back(tmp_path: Path) -> None:
    for settings, expected in ((BOTH, TEXT.lower()), (Tokenization(290, False), TEXT)):
        tokenizer = trained(settings)
        words = split_by_hand(TEXT, settings.lowercase)
        stored = WordTokenizer.from_json(tokenizer.to_json(), settings)
        assert stored.decode(encoded(tokenizer, words)) == expected
    dropped = trained(NEITHER)
    assert dropped.decode(encoded(dropped, split_by_hand(TEXT, False))) == "".join(f" {word}" for word in TEXT.split())


def test_a_word_that_looks_like_a_special_token_is_text() -> None:
    """Text could otherwise end lines in the middle of one, and change the number of words."""
    tokenizer = trained(BOTH)
    ids = encoded(tokenizer, ["<eos>", "\n", "<unk>", "</s>"])
    assert ids[-1] < 288 and ids.count(tokenizer.special["\n"]) == 1 and ids.count(tokenizer.special["<unk>"]) == 1
    assert tokenizer.decode(ids) == " <eos> \n <unk> </s>"
    assert sorted(tokenizer.special.values()) == [288, 289]


def test_unknown_words_as_text_have_no_token() -> None:
    tokenizer = trained(Tokenization(290, unknown="text"))
    assert list(tokenizer.special) == ["\n"] and tokenizer.decode(encoded(tokenizer, ["<unk>"])) == " <unk>"


def test_bytes_that_are_no_character_decode_and_wrong_ids_do_not() -> None:
    """A model samples whatever it likes."""
    tokenizer = trained(BOTH)
    half = tokenizer.encode(["語"])[0][:-1]
    assert "\ufffd" in tokenizer.decode(half) and tokenizer.decode([]) == ""
    for wrong in (-1, 290):
        with pytest.raises(ValueError, match=r"outside 0 … 289"):
            tokenizer.decode([5, wrong])


def test_training_does_not_depend_on_threads_or_order() -> None:
    """The same text and settings must give the same ids on every machine: results would not compare."""
    program = (
        "import hashlib, sys\nfrom datasets.wikitext.tokenizer import *\n"
        "from tests.helpers.wikitext_samples import *\nwords = split_by_hand(random_text(3000), True)\n"
        "words = words[::-1] if sys.argv[1] == '3' else words\n"
        "stored = WordTokenizer.train([words], Tokenization(310), '').to_json()\n"
        "sys.stdout.write(hashlib.sha256(stored.encode()).hexdigest())\n"
    )
    digests = set()
    for threads in "13":
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", program, threads]
        digests.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert len(digests) == 1


def test_threads_are_pytorch_s_unless_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight runs of a sweep, each with every core, slow one another down; and nothing may stay in the environment."""
    seen = []

    class Probe:
        def encode_batch(self, words: list[str], **options: object) -> list[object]:
            seen.append(os.environ["RAYON_NUM_THREADS"])
            return []

        def get_vocab_size(self, **options: object) -> int:
            return 0

    tokenizer = WordTokenizer(Probe(), ())
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    tokenizer.encode([])
    assert "RAYON_NUM_THREADS" not in os.environ
    monkeypatch.setenv("RAYON_NUM_THREADS", "2")
    tokenizer.encode([])
    assert seen == ["7", "2"]


def test_a_vocabulary_that_the_text_does_not_support_names_the_largest() -> None:
    with pytest.raises(DataError, match=r"^the text: vocabulary=9000 is more than .*; take (\d+) or fewer$") as caught:
        trained(Tokenization(9000))
    most = int(str(caught.value).split()[-3])
    assert trained(Tokenization(most)).size == most
    with pytest.raises(DataError, match=rf"take {most} or fewer"):
        trained(Tokenization(most + 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocabulary": 258}, "vocabulary=258 has no room for merges beside all bytes; take 259 or more"),
        ({"vocabulary": 256, "end_of_line": "drop", "unknown": "text"}, "take 257 or more"),
        ({"end_of_line": "yes"}, "end_of_line='yes' is no choice .* take keep or drop"),
        ({"unknown": "drop"}, "unknown='drop' is no choice .* take token or text"),
    ],
)
def test_bad_settings_are_one_clear_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Tokenization(**settings)


def test_a_damaged_tokenizer_is_refused() -> None:
    stored = trained(BOTH).to_json()
    for bad in (stored[:-20], "{}", ""):
        with pytest.raises(ValueError, match="not a tokenizer"):
            WordTokenizer.from_json(bad, BOTH)
    with pytest.raises(ValueError, match="290 ids where 291 are expected"):
        WordTokenizer.from_json(stored, Tokenization(291))
