"""Texts in WikiText's layout, and byte-pair encoding done once more, by its definition."""

from __future__ import annotations

import json
import math
import random
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

HEADING = " \n = Title = \n \n"


def random_text(n_lines: int, seed: int = 0) -> str:
    """Paragraphs of words with few and many letters, some not ASCII, `<unk>` and blank lines among them."""
    draw = random.Random(seed)
    stems = ["The", "walked", "walking", "talks", "Überall", "名前", "@-@", "<unk>", "1980s", ",", ".", "<eos>"]
    words = [*stems, *(stem + end for stem in stems[:4] for end in ("er", "ers", "ly"))]
    lines = [" ".join(["", *draw.choices(words, k=draw.randrange(12)), "\n"]) for _ in range(n_lines)]
    return HEADING + "".join(lines)


def write_splits(folder: Path, train: str, valid: str = " the talks . \n", test: str = " walked \n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, text in (("train", train), ("valid", valid), ("test", test)):
        (folder / f"wiki.{split}.tokens").write_bytes(text.encode())


def write_archive(path: Path, folder: str, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(f"{folder}/{name}", content)


def split_by_hand(text: str, lowercase: bool) -> list[str]:
    """Words and "\\n" for each end of line."""
    words = []
    for line in text.removesuffix("\n").split("\n"):
        words += [*(line.lower() if lowercase else line).split(), "\n"]
    return words


def encode_by_hand(words: list[str], stored: str, special: dict[str, int]) -> list[int]:
    """Apply the stored merges, best first, to each word's bytes (a space before them)."""
    model = json.loads(stored)["model"]
    ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
    known: dict[str, list[int]] = {word: [number] for word, number in special.items()}
    known.setdefault("\n", [])
    for word in set(words) - known.keys():
        known[word] = [model["vocab"][piece] for piece in _merged([_letter(b) for b in f" {word}".encode()], ranks)]
    return [number for word in words for number in known[word]]


def count_merges_by_hand(words: list[str], count: int) -> list[tuple[str, str]]:
    """The first merges of byte-pair encoding; for words in which no two pairs are equally frequent when it matters."""
    pieces = {word: [_letter(b) for b in f" {word}".encode()] for word in words}
    times, merges = Counter(words), []
    for _ in range(count):
        pairs: Counter = Counter()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += times[word]
        (best, most), *others = pairs.most_common(2)
        assert not others or most > others[0][1], "a tie"
        merges.append(best)
        pieces = {word: _joined(parts, best) for word, parts in pieces.items()}
    return merges


def _merged(parts: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    while True:
        best = min(pairwise(parts), key=lambda pair: ranks.get(pair, math.inf), default=None)
        if best not in ranks:
            return parts
        parts = _joined(parts, best)


def _joined(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    i = 0
    while i < len(parts):
        step = 2 if tuple(parts[i : i + 2]) == pair else 1
        joined.append("".join(parts[i : i + step]))
        i += step
    return joined


def _letter(byte: int) -> str:
    """The printable character that stands for a byte: itself, or for the others, in order, those from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [number for number in range(256) if number not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))
