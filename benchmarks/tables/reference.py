"""The paper's numbers: ``results/paper/reference.csv``, looked up by what they measure."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks import metrics
from benchmarks.cells import Cell

FILE = Path(__file__).resolve().parents[2] / "results" / "paper" / "reference.csv"
#: What the tables' "paper" means unless a footnote says otherwise.
PAPER = "arXiv:2006.12878v1"


class Published(NamedTuple):
    """One published number and what must be said about it ("" for nothing)."""

    value: float
    note: str


class Key(NamedTuple):
    domain: str
    architecture: str
    dataset: str
    method: str
    metric: str


@cache
def published(path: Path = FILE) -> dict[Key, Published]:
    """Every published number. Where several recipes were published for one key, the best one counts.

    Raises:
        ValueError: the file is missing or lacks a column or number; one line naming file and line.
    """
    found: dict[Key, list[Published]] = defaultdict(list)
    try:
        with path.open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    found[_key(row)].append(Published(float(row["value"]), _note(row)))
                except (KeyError, TypeError, ValueError) as error:
                    raise ValueError(f"{path}:{number}: not a reference row ({error!r})") from error
    except OSError as error:
        raise ValueError(f"{path}: the paper's numbers are missing ({error.strerror})") from error
    return {key: _best(values, key.metric) for key, values in found.items()}


def beside(cell: Cell) -> Published | None:
    """What may stand beside ``cell``: nothing unless the cell comes from real data."""
    if cell.key.data_source != "real":
        return None
    key = Key(cell.domain, cell.architecture, cell.dataset, cell.key.method, cell.key.metric)
    return published().get(key)


def _key(row: dict[str, str]) -> Key:
    return Key(*(row[name] for name in Key._fields))


def _note(row: dict[str, str]) -> str:
    other_source = "" if row["source"].startswith(PAPER) else row["source"]
    return "; ".join(filter(None, (other_source, row["note"])))


def _best(values: list[Published], metric: str) -> Published:
    if len(values) == 1:
        return values[0]
    sign = metrics.lookup(metric).sign
    best = max(values, key=lambda one: sign * one.value)
    return best._replace(note=f"best of {len(values)} published recipes: {best.note}")
