"""Measure WikiText's data pipeline on a generated file with the real one's size, vocabulary and long tail.

    python -m benchmarks.speed.wikitext_data [--megabytes 200] [--vocabulary 32000] [--folder DIR]

Writes the file into a temporary folder and encodes it in a fresh process, whose peak memory is taken. Memory is
measured at a fifth of the size as well, so that the line through both tells what WikiText-103 would take.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.speed.wikitext_encoding import Encoding, encode
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from datasets.wikitext.format import SPLITS, file_name

_WIKITEXT_103_WORDS = 103_227_021
_TYPES = 267_735  # distinct words of WikiText-103
_SHIFT = 2.7  # of Zipf's law
_LINE = 100  # words
_CHUNK = 2_000  # lines written at a time
_OTHER_SHARE = 100  # the training split is so many times as large as the others
_LETTERS = np.array(list("etaoinsrhldcumfpgwybvkxjqz"))
_LETTER_SHIFT = 3


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; returns the exit status."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wikitext_data_", dir=options.folder) as name:
        small = _write_and_encode(Path(name) / "fifth", options.megabytes / 5, options.vocabulary)
        large = _write_and_encode(Path(name) / "all", options.megabytes, options.vocabulary)
    slope = max(large.peak_mb - small.peak_mb, 0) / (large.words - small.words)
    peak = large.peak_mb + slope * (_WIKITEXT_103_WORDS - large.words)
    seconds = large.seconds * _WIKITEXT_103_WORDS / large.words
    _say(f"extrapolated to WikiText-103, {_WIKITEXT_103_WORDS:,} words: {seconds:,.0f} s, peak memory {peak:,.0f} MB")
    return 0


def write_files(folder: Path, megabytes: float) -> None:
    """Write the three splits in WikiText's layout; the training split has about so many megabytes."""
    folder.mkdir(parents=True)
    words = _words(np.random.default_rng(0))
    for number, split in enumerate(SPLITS):
        rng = np.random.default_rng([1, number])
        left = megabytes * 1e6 / (1 if split == "train" else _OTHER_SHARE)
        with (folder / file_name(split)).open("wb") as stream:
            while left > 0:
                left -= stream.write(_lines(rng, words))


def _words(rng: np.random.Generator) -> np.ndarray:
    """Distinct words, the longer the rarer; a letter's frequency falls with its place in `_LETTERS`."""
    chances = 1 / (np.arange(len(_LETTERS)) + _LETTER_SHIFT)
    words: dict[str, None] = {}
    while len(words) < _TYPES:
        length = 1 + int(np.log(len(words) + 1) / 4) + rng.integers(0, 5, 1000)
        letters = rng.choice(_LETTERS, (1000, int(length.max())), p=chances / chances.sum())
        words.update(dict.fromkeys("".join(row[:n]) for row, n in zip(letters, length, strict=True)))
    return np.array(list(words)[:_TYPES], dtype=object)


def _lines(rng: np.random.Generator, words: np.ndarray) -> bytes:
    """Some lines. Every second one is blank."""
    cumulative = np.cumsum(1 / (np.arange(_TYPES) + 1 + _SHIFT))
    drawn = np.searchsorted(cumulative, rng.random((_CHUNK, _LINE)) * cumulative[-1])
    return "".join(f" {' '.join(words[line])} \n \n" for line in drawn).encode()


def _write_and_encode(folder: Path, megabytes: float, vocabulary: int) -> Encoding:
    started = time.perf_counter()
    write_files(folder / "text", megabytes)
    size = (folder / "text" / file_name("train")).stat().st_size
    _say(f"wrote {size / 1e6:,.0f} MB in {time.perf_counter() - started:.0f} s")
    encoding = encode(folder / "text", folder / "cache", vocabulary)
    _say(str(encoding))
    return encoding


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.speed.wikitext_data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--megabytes", type=positive, default=200)
    parser.add_argument("--vocabulary", type=positive, default=32_000)
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes (twice the megabytes)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
