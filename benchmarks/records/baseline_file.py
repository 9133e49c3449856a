"""Reading cells from wherever results lie, and the baseline file they are kept in.

A place is a results folder (its ``records/`` and ``evidence/``), a records folder, an evidence pack, or a
baseline JSON. A baseline holds cells, not records: values by seed, times and hashes are all that a comparison
needs, and the file stays small enough to review.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from benchmarks.records import metrics, paths, valid
from benchmarks.records.aggregation import aggregate
from benchmarks.records.cells import LARGEST, CellKey, CellSet, ResultCell
from benchmarks.records.inputs import BadInput, OnBad, read_bytes, refuse
from benchmarks.records.packs import is_pack, read_pack
from benchmarks.records.record import iterate_records, write_atomically
from benchmarks.records.result_set import ResultSet

SCHEMA = 1
_FIX_HINT = "write it again with: make baseline"


class _Written(TypedDict):
    """A cell as a baseline has it: the fields of `ResultCell`, but the timings, with those of the key beside them."""

    __pydantic_config__ = valid.CLOSED  # type: ignore[misc]

    profile: valid.Profile
    task: valid.Task
    method: valid.Method
    metric: valid.MetricName | Literal[""]
    variant: valid.Text
    data_source: valid.DataSource
    domain: valid.Domain
    architecture: valid.Architecture
    dataset: valid.Dataset
    config_hash: valid.Hash
    fingerprint: valid.Text
    about_data: valid.Text
    values: dict[valid.SeedText, Annotated[valid.Number, Field(gt=-LARGEST, lt=LARGEST)]]
    statuses: dict[Literal["ok", "diverged", "failed", "skipped"], valid.Count]
    reason: valid.Text
    primary: valid.Flag
    train_seconds: NotRequired[valid.Amount]
    samples_per_second: NotRequired[valid.Amount]
    peak_memory_mb: NotRequired[valid.Amount]
    budget: valid.Count | None
    budget_unit: valid.Text
    alignment_seconds: NotRequired[valid.Amount]


def load(place: Path, on_bad: OnBad = refuse) -> CellSet:
    """The cells of a results folder, records folder, evidence pack or baseline JSON.

    ``on_bad`` gets what of a folder or pack is not readable; a baseline is whole, or none.

    Raises:
        ValueError: nothing there, or not readable; one line: what, where, what to do.
    """
    if place.is_dir():
        whole = paths.is_results(place)
        found = ResultSet.load(place, on_bad).found if whole else aggregate(iterate_records(place, on_bad), on_bad)
        if not found.cells:
            raise ValueError(f"{place}: no readable record in this folder; run a sweep first or name another folder")
        return found
    if not place.is_file():
        raise ValueError(f"{place}: no such file or folder; name a results folder, a pack or a baseline JSON")
    if is_pack(place):
        packed = aggregate(read_pack(place, on_bad), on_bad)
        if not packed.cells:
            raise ValueError(f"{place}: no readable record in this pack; pack it again or name another")
        return packed
    return CellSet(read_baseline(place), [])


def write_baseline(cells: Iterable[ResultCell], path: Path) -> int:
    """Write ``cells`` as a baseline, one line per cell, sorted; returns how many."""
    ordered = sorted(cells, key=lambda cell: cell.key)
    lines = ",\n".join(json.dumps(_to_json(cell), sort_keys=True, separators=(",", ":")) for cell in ordered)
    write_atomically(path, f'{{"schema":{SCHEMA},"count":{len(ordered)},"cells":[\n{lines}\n]}}\n')
    return len(ordered)


def read_baseline(path: Path) -> list[ResultCell]:
    """The cells of a baseline file. With one cell less it would let that cell's loss pass: it is read whole, or not.

    Raises:
        BadInput: not a baseline; one line naming the file, the cell and its field.
    """
    content = read_bytes(path, _FIX_HINT)
    try:
        values = valid.parse_object(content)
        valid.check_schema(values, SCHEMA)
        baseline = valid.validated(_adapter(), values)
        cells = list(map(_from_json, cast(list[dict[str, Any]], baseline["cells"])))
        if len(cells) != baseline.get("count", len(cells)):
            raise ValueError(f"{len(cells)} of its {baseline['count']} cells")
        return _distinct(sorted(cells, key=lambda cell: cell.key))
    except ValueError as error:
        raise BadInput(path, f"not a readable baseline ({error})", _FIX_HINT) from error


class _Baseline(TypedDict):
    """The whole file."""

    __pydantic_config__ = valid.CLOSED  # type: ignore[misc]

    schema: int
    count: NotRequired[valid.Count]  # of the cells; the first baselines did not have it
    cells: Annotated[list[_Written], Field(min_length=1)]


@cache
def _adapter() -> TypeAdapter[_Baseline]:
    return TypeAdapter(_Baseline)


def _distinct(cells: list[ResultCell]) -> list[ResultCell]:
    for former, cell in pairwise(cells):
        if former.key == cell.key:
            raise ValueError(f"two cells of {cell.key}")
    return cells


def _to_json(cell: ResultCell) -> dict[str, Any]:
    """The fields of ``cell`` with the key's beside them; NaN is no JSON, so unknown numbers are left out."""
    values = dataclasses.asdict(cell)
    values.pop("key")
    values.pop("timings")  # of every run by itself: not needed to compare, and never twice the same
    known = {name: value for name, value in values.items() if value == value}
    known["values"] = {str(seed): value for seed, value in cell.values.items()}
    return {**cell.key._asdict(), **known}


def _from_json(values: dict[str, Any]) -> ResultCell:
    rest = dict(values)
    key = CellKey(**{name: rest.pop(name) for name in CellKey._fields})
    if key.metric and not metrics.is_known(key.metric):
        raise ValueError(metrics.unknown(key.metric))
    by_seed = {int(seed): value for seed, value in rest.pop("values").items()}
    ok = rest["statuses"].get("ok", 0)
    if wrong := next(filter(None, (metrics.impossible(key.metric, value) for value in by_seed.values())), ""):
        raise ValueError(f"{key}: {wrong}")
    # The mean loss is that of the histories, which not every run must have.
    if len(by_seed) != ok and not (key.metric == metrics.MEAN_LOSS and 0 < len(by_seed) < ok):
        raise ValueError(f"{key}: {len(by_seed)} values of {ok} runs that are ok")
    return ResultCell(key=key, values=by_seed, **rest)
