"""Lines in Criteo's format, and the encoding done once more, value by value, as the reference code describes it."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np

from datasets.criteo.text import TextFile

GOOD = "\t".join(["0", *map(str, range(13)), *(f"{number:08x}" for number in range(26))])


def line(label: str = "0", **fields: str) -> str:
    """A good line, but for the given fields (`I1` … `I13`, `C1` … `C26`)."""
    columns = GOOD.split("\t")
    columns[0] = label
    for name, value in fields.items():
        columns[int(name[1:]) + (0 if name[0] == "I" else 13)] = value
    return "\t".join(columns)


def random_lines(count: int, seed: int = 0) -> list[str]:
    """Lines with few and many different values, missing ones and extremes."""
    draw = random.Random(seed)
    return [_random_line(draw) for _ in range(count)]


def text_file(folder: Path, lines: list[str], name: str = "train.txt") -> TextFile:
    """Write the lines."""
    path = folder / name
    path.write_bytes("".join(f"{text}\n" for text in lines).encode())
    return TextFile(path, "the hint")


def encode_by_hand(lines: list[str], threshold: int) -> tuple[np.ndarray, list[int], list[int]]:
    """Rows (N, 39), labels and field sizes. Dictionaries and `math.log`; shares nothing with the package."""
    table = [text.split("\t") for text in lines]
    columns, sizes = [], []
    for field in range(39):
        words = [_word(field, row[field + 1]) for row in table]
        frequent = sorted(word for word, count in Counter(words).items() if count >= threshold)
        index = {word: number + 1 for number, word in enumerate(frequent)}
        columns.append([index.get(word, 0) + sum(sizes) for word in words])
        sizes.append(len(frequent) + 1)
    return np.array(columns).T, [int(row[0]) for row in table], sizes


def _word(field: int, text: str) -> tuple[int, int]:
    """What counts as one value; sorts missing first, then ascending."""
    if not text:
        return (0, 0)
    if field >= 13:
        return (1, int(text, 16))
    value = int(text)
    return (1, math.floor(math.log(value) ** 2) if value > 2 else value - 2)


def _random_line(draw: random.Random) -> str:
    columns = [str(int(draw.random() < 0.3))]
    for field in range(13):
        columns.append(draw.choice(["", "0", "-3", str(int(draw.expovariate(0.02) ** (1 + field / 6)))]))
    for field in range(26):
        hashed = draw.choice([draw.randrange(4**field), 0, 2**32 - 1]) * 2654435761 % 2**32
        columns.append(draw.choice(["", f"{hashed:08x}"]) if field % 3 else f"{hashed:08x}")
    return "\t".join(columns)
