"""Reading cells from wherever results lie, and the baseline file they are kept in.

A place is a results folder (its ``records/`` and ``evidence/``), a records folder, an evidence pack, or a
baseline JSON. A baseline holds cells, not records: values by seed, times and hashes are all that a comparison
needs, and the file stays small enough to review.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import metrics
from benchmarks.cells import Cell, CellKey, CellSet, aggregate
from benchmarks.evidence import gather, is_pack, read_pack
from benchmarks.records import iterate_records, write_atomically

SCHEMA = 1
_NUMBERS = ("train_seconds", "samples_per_second", "peak_memory_mb", "alignment_seconds")


def load(place: Path) -> CellSet:
    """The cells of a results folder, records folder, evidence pack or baseline JSON.

    Raises:
        ValueError: nothing there, or not readable; one line: what, where, how to mend it.
    """
    if place.is_dir():
        whole = (place / "records").is_dir() or (place / "evidence").is_dir()
        records = gather(place) if whole else list(iterate_records(place))
        if not records:
            raise ValueError(f"{place}: no records in this folder; run a sweep first or name another folder")
        return aggregate(records)
    if not place.is_file():
        raise ValueError(f"{place}: no such file or folder; name a results folder, a pack or a baseline JSON")
    if is_pack(place):
        return aggregate(read_pack(place))
    return CellSet(read_baseline(place), [])


def write_baseline(cells: Iterable[Cell], path: Path) -> int:
    """Write ``cells`` as a baseline, one line per cell, sorted; returns how many."""
    ordered = sorted(cells, key=lambda cell: cell.key)
    lines = ",\n".join(json.dumps(_to_json(cell), sort_keys=True, separators=(",", ":")) for cell in ordered)
    write_atomically(path, f'{{"schema":{SCHEMA},"cells":[\n{lines}\n]}}\n')
    return len(ordered)


def read_baseline(path: Path) -> list[Cell]:
    """The cells of a baseline file.

    Raises:
        ValueError: not a baseline; one line naming the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']!r}, this version reads {SCHEMA}")
        return sorted((_from_json(values) for values in content["cells"]), key=lambda cell: cell.key)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{path}: not a readable baseline ({error!r}); write it again with: make baseline"
        raise ValueError(message) from error


def _to_json(cell: Cell) -> dict[str, Any]:
    """The fields of ``cell`` with the key's beside them; NaN is no JSON, so unknown numbers are left out."""
    values = dataclasses.asdict(cell)
    values.pop("key")
    values.pop("timings")  # of every run by itself: not needed to compare, and never twice the same
    known = {name: value for name, value in values.items() if value == value}
    known["values"] = {str(seed): value for seed, value in cell.values.items()}
    return {**cell.key._asdict(), **known}


def _from_json(values: dict[str, Any]) -> Cell:
    rest = dict(values)
    key = CellKey(**{name: rest.pop(name) for name in CellKey._fields})
    if key.metric:
        metrics.lookup(key.metric)
    by_seed = {int(seed): float(value) for seed, value in rest.pop("values").items()}
    if not all(math.isfinite(value) for value in by_seed.values()):
        raise ValueError(f"{key}: a value is not finite")
    rest |= {name: float(rest[name]) for name in _NUMBERS if name in rest}
    statuses = {str(status): int(count) for status, count in rest.pop("statuses").items()}
    return Cell(key=key, values=by_seed, statuses=statuses, **rest)
