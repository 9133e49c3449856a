"""Generated articles in WikiText's layout, and how well their text can be predicted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from datasets.core.errors import DataError, shown
from datasets.core.files import read_json
from datasets.core.standin import StandIn
from datasets.wikitext.format import SPLITS, file_name
from datasets.wikitext.grammar import Writer

FLOOR = "floor.json"

_VERSION = 1
_MOST = 1e12  # words, and nats
_SEEDS = {"wikitext2": 2, "wikitext103": 103}


@dataclass(frozen=True)
class WikiTextSettings:
    """seed: of the text; the language is the same for all. The rest: words of each split (an article more at most)."""

    seed: int
    train: int
    valid: int
    test: int


def write_wikitext(folder: Path, settings: WikiTextSettings) -> None:
    """Write the three splits and `floor.json`; the same settings give the same bytes.

    floor.json has, by split, the words (as WikiText counts, with ends of lines) and nats, −ln p of the very text under
    the grammar, in which nothing is hidden (`wikitext.grammar`): nats / words is what a model scores that knows the
    grammar and reads from the beginning. Another text of the same grammar has another value, by chance.
    """
    floor = {}
    for number, split in enumerate(SPLITS):
        writer = Writer(len(SPLITS) * settings.seed + number)
        with (folder / file_name(split)).open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(writer.articles(getattr(settings, split)))
        floor[split] = {"words": writer.n_words, "nats": writer.nats}
    (folder / FLOOR).write_text(json.dumps(floor, indent=1) + "\n")


def read_floors(folder: Path, fix_hint: str) -> dict[str, float]:
    """Nats per word by split. Raises DataError, ending in `fix_hint`, if the file is missing or damaged."""
    path = folder / FLOOR
    floor = read_json(path, fix_hint)
    try:
        return {split: _floor(split, floor[split]["nats"], floor[split]["words"]) for split in SPLITS}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); {fix_hint}") from error


def _floor(split: str, nats: object, words: object) -> float:
    """Nats per word. Raises ValueError for what is none."""
    numbers = isinstance(nats, int | float) and isinstance(words, int) and bool not in (type(nats), type(words))
    if numbers and 0 < words < _MOST and 0 <= nats < _MOST:  # type: ignore[operator]
        return nats / words  # type: ignore[operator]
    raise ValueError(f"{split}: a text of {shown(words)} words cannot have {shown(nats)} nats")


def _standin(name: str) -> StandIn:
    seed = _SEEDS[name]
    settings = {
        "smoke": WikiTextSettings(seed, 60_000, 5_000, 5_000),
        "quick": WikiTextSettings(seed, 400_000, 25_000, 25_000),
        "default": WikiTextSettings(seed, 2_000_000, 120_000, 120_000),
    }
    return StandIn(name, _VERSION, (*map(file_name, SPLITS), FLOOR), settings, write_wikitext)


STANDINS = {name: _standin(name) for name in _SEEDS}
