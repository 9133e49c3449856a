"""The cost table: what each method needs beside what it reaches, a row per task and method.

Seconds are those of the machine that made the records, at the time. Methods are compared by the time of a step, since
early stopping gives them different numbers of steps: per seed the method's over backprop's on the same task, where
both ran on the same hardware, and of these ratios the median, which one busy moment does not move.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.catalogue.names import network, title
from benchmarks.catalogue.reference import paper_order
from benchmarks.records import metrics
from benchmarks.records.cells import NAN, ResultCell, Slice
from benchmarks.statistics.comparison import REFERENCE
from benchmarks.tables.data_source import suffix_of
from benchmarks.tables.gap import primary_by_task
from benchmarks.tables.table import NONE, Behind, Column, Role, Table, TableKind, labels
from benchmarks.tables.text import exact, exact_cell

NAME = "cost"
_LABELS = ("dataset", "architecture", "method", "metric")
#: What the methods are compared with: backprop, and backprop that keeps less in memory.
_RECOMPUTE = "bp_recompute"
_COMPARED = {
    REFERENCE: (Column(Role.VALUE, "step / bp"), Column(Role.VALUE, "MB / bp")),
    _RECOMPUTE: (Column(Role.VALUE, "step / recompute"), Column(Role.VALUE, "MB / recompute")),
}
_COLUMNS = (
    *labels(*_LABELS),
    *(Column(Role.VALUE, heading) for heading in ("quality", "budget", "train s", "samples/s", "MB")),
    *(column for columns in _COMPARED.values() for column in columns),
    Column(Role.VALUE, "alignment s"),
)
_NUMBERS = (
    *labels("domain", *_LABELS),
    *(Column(Role.VALUE, heading) for heading in ("mean", "std", "n", "budget")),
    *labels("budget unit"),
    *(Column(Role.VALUE, heading) for heading in ("train seconds", "samples per second", "peak memory MB")),
    *(Column(Role.VALUE, heading) for heading in ("step seconds", "step ratio", "seeds compared", "alignment seconds")),
    *(
        Column(Role.VALUE, heading)
        for heading in ("memory ratio", "step ratio to recompute", "memory ratio to recompute")
    ),
)
LEGEND = (
    "train s, samples/s: training alone, mean over seeds, on the machine at the time, which other runs may have kept "
    "busy; step times on an idle one: make speed",
    "step / bp, step / recompute: time of a step over that of backprop, and of backprop that recomputes (bp_recompute) "
    f"on the same task, median over the seeds that both ran on the same hardware; {NONE} where there are none",
    "MB: largest peak of any run, with loading, evaluation and alignment; on a CPU that of the process, which "
    "keeps what earlier runs of a sweep have freed, so its ratios are rough: python -m benchmarks.speed.methods has "
    "those of the methods alone",
    f"alignment s: of measuring alignment, a run; in no other column; {NONE} where it was not measured, or not timed",
)


class PairedCost(NamedTuple):
    """A method's cost beside another's. ``pairs``: step times of both for the seeds that are comparable, by seed."""

    pairs: Mapping[int, tuple[float, float]]
    other: ResultCell | None = None
    commits_differ: bool = False
    hardware_differs: bool = False

    @property
    def ratio(self) -> float:
        """Median of the method's step over the other's; NaN where nothing is comparable."""
        ratios = [method / other for method, other in self.pairs.values() if other > 0]
        return statistics.median(ratios) if ratios else NAN


class Row(NamedTuple):
    """A method's cost on a task, beside those of `_COMPARED`."""

    cell: ResultCell
    beside: Mapping[str, PairedCost]

    @property
    def bp(self) -> PairedCost:
        """Beside backprop."""
        return self.beside[REFERENCE]

    def memory_ratio(self, name: str) -> float:
        """Peak memory over that of another method; NaN where it did not run."""
        other = self.beside[name].other
        return self.cell.peak_memory_mb / other.peak_memory_mb if other and other.peak_memory_mb > 0 else NAN


def cost_table(part: Slice) -> Table | None:
    """The table over the cells of one profile and data source; None where no run ended well."""
    tasks = sorted(primary_by_task(part.cells), key=_order)
    rows = [row_of(cell, task) for task in tasks for cell in task.values() if cell.n]
    if not rows:
        return None
    return Table(
        kind=TableKind.COST,
        name=f"{NAME}{suffix_of(part.source)}",
        title="Cost: time and memory beside quality",
        profile=part.profile,
        source=part.source,
        about="primary metric of each task, means over seeds",
        columns=_COLUMNS,
        rows=[[*_names(row.cell), *_text(row)] for row in rows],
        number_columns=_NUMBERS,
        numbers=[_exact(row) for row in rows],
        notes=[*LEGEND, *_notes(rows)],
        behind=[_behind_row(row) for row in rows],
    )


def row_of(cell: ResultCell, task: Mapping[str, ResultCell]) -> Row:
    """``cell`` beside other cells of its task."""
    return Row(cell, {name: _beside(cell, task.get(name)) for name in _COMPARED})


def _beside(cell: ResultCell, other: ResultCell | None) -> PairedCost:
    """The seeds of both that ran on the same hardware."""
    if other is None:
        return PairedCost({})
    common = sorted(cell.timings.keys() & other.timings.keys())
    both = {seed: (cell.timings[seed], other.timings[seed]) for seed in common}
    same = {seed: pair for seed, pair in both.items() if pair[0].hardware == pair[1].hardware}
    return PairedCost(
        {seed: (method.step_seconds, theirs.step_seconds) for seed, (method, theirs) in same.items()},
        other,
        commits_differ=any(method.commit != theirs.commit for method, theirs in same.values()),
        hardware_differs=len(same) < len(both),
    )


def _order(task: Mapping[str, ResultCell]) -> tuple[object, ...]:
    first = next(iter(task.values()))
    return paper_order(first.domain, first.dataset, first.architecture)


def _names(cell: ResultCell) -> list[str]:
    return [
        title(cell.dataset),
        network(cell.domain, cell.architecture),
        cell.key.method,
        cell.key.metric.replace("_", " "),
    ]


def _text(row: Row) -> list[str]:
    cell = row.cell
    return [
        _quality(cell),
        NONE if cell.budget is None else f"{cell.budget:,} {cell.budget_unit}",
        *map(_short, (cell.train_seconds, cell.samples_per_second, cell.peak_memory_mb)),
        *(text for name in _COMPARED for text in (_step_ratio(row, name), _ratio(row.memory_ratio(name)))),
        _short(cell.alignment_seconds),
    ]


def _step_ratio(row: Row, name: str) -> str:
    compared = row.beside[name]
    return _ratio(compared.ratio) + ("" if len(compared.pairs) in (0, row.cell.n) else f" (n={len(compared.pairs)})")


def _ratio(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.2f}"


def _quality(cell: ResultCell) -> str:
    """The mean; its spread stands in the other tables, and would not fit into this one."""
    missing = f" ({cell.n}/{cell.runs} ok)" if cell.n < cell.runs else ""
    return metrics.lookup(cell.key.metric).format(cell.mean) + missing


def _behind_row(row: Row) -> list[Behind]:
    """The cells behind each place of a row: a ratio rests on those of the other method as well."""
    both = {column: name for name, columns in _COMPARED.items() for column in columns}
    others = (row.beside[both[column]].other if column in both else None for column in _COLUMNS[len(_LABELS) :])
    numbers = [(row.cell,) if other is None else (row.cell, other) for other in others]
    return [*[()] * len(_LABELS), *numbers]


def _short(value: float) -> str:
    """Three digits, more for a large number."""
    if math.isnan(value):
        return NONE
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _exact(row: Row) -> list[str]:
    cell = row.cell
    return [
        *(cell.domain, cell.dataset, cell.architecture, cell.key.method, cell.key.metric),
        *(*exact_cell(cell), exact(cell.budget), cell.budget_unit),
        *map(exact, (cell.train_seconds, cell.samples_per_second, cell.peak_memory_mb)),
        exact(statistics.fmean(one.step_seconds for one in cell.timings.values()) if cell.timings else NAN),
        *(exact(row.bp.ratio), str(len(row.bp.pairs)), exact(cell.alignment_seconds)),
        *map(exact, (row.memory_ratio(REFERENCE), row.beside[_RECOMPUTE].ratio, row.memory_ratio(_RECOMPUTE))),
    ]


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    """On what hardware the rows were made, and where a ratio compares different code."""
    hardware: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for name in sorted({one.hardware for one in row.cell.timings.values()}):
            hardware[name].append(row)
    for name, made in hardware.items():
        tasks = ", ".join(dict.fromkeys(map(_task, made)))
        yield f"hardware: {name}" + ("" if len(made) == len(rows) else f": {tasks}")
    if differing := [row for row in rows if row.bp.hardware_differs]:
        yield f"seeds left out of step / bp, because backprop ran on other hardware: {_places(differing)}"
    if differing := [row for row in rows if row.bp.commits_differ]:
        yield f"step / bp compares different commits, so part of it may be a change of the code: {_places(differing)}"


def _places(rows: Sequence[Row]) -> str:
    """Tasks, each with its methods."""
    methods: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        methods[_task(row)].append(row.cell.key.method)
    return ", ".join(f"{task} ({', '.join(names)})" for task, names in methods.items())


def _task(row: Row) -> str:
    return f"{network(row.cell.domain, row.cell.architecture)} on {title(row.cell.dataset)}"
