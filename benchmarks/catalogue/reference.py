"""The paper's numbers: ``results/paper/reference.csv``, looked up by what they measure."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.catalogue.discovery import architectures, current_domain, domains

FILE = Path(__file__).resolve().parents[2] / "results" / "paper" / "reference.csv"
#: What the tables' "paper" means unless a footnote says otherwise.
PAPER = "arXiv:2006.12878v1"


class Published(NamedTuple):
    """One published number and what must be said about it ("" for nothing)."""

    value: float
    note: str


class Key(NamedTuple):
    """The measurement behind a published number."""

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
        with path.open(encoding="utf-8", newline="") as file:
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


def published_for(domain: str, architecture: str, dataset: str) -> dict[str, dict[str, float]]:
    """The paper's numbers of an architecture on a dataset: metric → method → number."""
    found: dict[str, dict[str, float]] = {}
    for key, one in published().items():
        if key[:3] == (domain, architecture, dataset):
            found.setdefault(key.metric, {})[key.method] = one.value
    return found


def paper_order(domain: str, dataset: str, architecture: str) -> tuple[tuple[int, str], ...]:
    """Sort key: the paper's order of domains, datasets and architectures; then the catalogue's, then by name."""
    parts = {"domain": domain, "dataset": dataset, "architecture": architecture}
    return tuple(paper_place(part, name) for part, name in parts.items())


def paper_place(part: str, name: str) -> tuple[int, str]:
    """Sort key of a domain, dataset or architecture (``part``), as of `paper_order`."""
    known = _order(part)
    return (known.get(name, len(known)), name)


@cache
def _order(part: str) -> dict[str, int]:
    known = {
        "domain": list(domains()),
        "dataset": [name for domain in domains().values() for name in domain.datasets],
        "architecture": list(architectures()),
    }
    names = dict.fromkeys([*(getattr(key, part) for key in published()), *known[part]])
    return {name: number for number, name in enumerate(names)}


def _key(row: dict[str, str]) -> Key:
    values = {name: row[name] for name in Key._fields} | {"domain": current_domain(row["domain"])}
    recipes = (one for one in architectures().values() if one.recipe_of == row["architecture"])
    of_recipe = next((one.name for one in recipes if row["note"].startswith(one.recipe)), row["architecture"])
    return Key(**values | {"architecture": of_recipe})


def _note(row: dict[str, str]) -> str:
    other_source = "" if row["source"].startswith(PAPER) else row["source"]
    return "; ".join(filter(None, (other_source, row["note"])))
