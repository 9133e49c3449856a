"""The paper's numbers: ``results/paper/reference.csv``, looked up by what they measure."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.records.cells import ResultCell

FILE = Path(__file__).resolve().parents[2] / "results" / "paper" / "reference.csv"
#: What the tables' "paper" means unless a footnote says otherwise.
PAPER = "arXiv:2006.12878v1"
#: Recipes of the Transformer's DFA, by how their note begins: here each is an architecture, without bp and shallow of
#: its own to be compared with. The best one keeps the name.
RECIPES = {"baseline": "transformer_noam", "+ Adam": "transformer_adam", "+ beta2": "transformer_beta2"}


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
    """Every published number.

    Raises:
        ValueError: the file is missing, lacks a column or number, or has two for one key; one line naming file
            and line.
    """
    found: dict[Key, Published] = {}
    try:
        with path.open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    key, one = _key(row), Published(float(row["value"]), _note(row))
                except (KeyError, TypeError, ValueError) as error:
                    raise ValueError(f"{path}:{number}: not a reference row ({error!r})") from error
                if key in found:
                    raise ValueError(f"{path}:{number}: a second number for {', '.join(key)}; keep one")
                found[key] = one
    except OSError as error:
        raise ValueError(f"{path}: the paper's numbers are missing ({error.strerror})") from error
    return found


def paper_order(domain: str, dataset: str, architecture: str) -> tuple[tuple[int, str], ...]:
    """Sort key: the paper's order of domains, datasets and architectures; others follow by name."""
    parts = {"domain": domain, "dataset": dataset, "architecture": architecture}
    return tuple(paper_place(part, name) for part, name in parts.items())


@cache
def paper_place(part: str, name: str) -> tuple[int, str]:
    """Sort key of a domain, dataset or architecture (``part``): the paper's order, then others by name."""
    known = list(dict.fromkeys(getattr(key, part) for key in published()))
    return (known.index(name) if name in known else len(known), name)


def beside(cell: ResultCell) -> Published | None:
    """What may stand beside ``cell``: nothing unless it comes from real data and the settings as shipped."""
    if cell.key.data_source != "real" or cell.key.variant:
        return None
    key = Key(cell.domain, cell.architecture, cell.dataset, cell.key.method, cell.key.metric)
    return published().get(key)


def _key(row: dict[str, str]) -> Key:
    key = Key(*(row[name] for name in Key._fields))
    recipe = next((name for start, name in RECIPES.items() if row["note"].startswith(start)), None)
    return key._replace(architecture=recipe) if recipe and key.architecture == "transformer" else key


def _note(row: dict[str, str]) -> str:
    other_source = "" if row["source"].startswith(PAPER) else row["source"]
    return "; ".join(filter(None, (other_source, row["note"])))
