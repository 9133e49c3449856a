"""Which runs a chart shows: those behind the tables' cells, as far as they have a history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.catalogue.methods import method_order
from benchmarks.records.cells import ResultCell
from benchmarks.records.record import run_id
from benchmarks.records.result_set import ResultSet
from benchmarks.records.run_history import History
from benchmarks.tables.build import text_of
from benchmarks.tables.data_source import data_title, suffix_of


@dataclass(frozen=True)
class Line:
    """One method's runs under one variant of the settings ("" for those as shipped)."""

    method: str
    variant: str
    histories: tuple[History, ...]  # of the runs that ended well and have one, by seed
    cell: ResultCell  # the task's primary metric over the same runs

    @property
    def name(self) -> str:
        return f"{self.method} {self.variant}" if self.variant else self.method

    def label(self, usual: int) -> str:
        """The name, and how many runs stand behind it where that is not ``usual`` or some did not end well."""
        seeds = len(self.histories)
        if seeds < self.cell.runs:
            return f"{self.name} ({seeds}/{self.cell.runs} runs)"
        return self.name if seeds == usual else f"{self.name} (n={seeds})"


class Remark(NamedTuple):
    """The parts of a line that are not shown, and why."""

    line: str  # its name
    text: str

    def __str__(self) -> str:
        return f"{self.line}: {self.text}"


@dataclass(frozen=True)
class TaskRuns:
    """The runs of one task under one profile on one data source."""

    profile: str
    task: str
    source: str
    primary: str  # metric
    lines: tuple[Line, ...]  # with at least one history, in the tables' order of methods
    remarks: tuple[Remark, ...]

    @property
    def name(self) -> str:
        """File name of the task's chart below the folder of figures, without suffix."""
        return f"{self.profile}/{self.task}{suffix_of(self.source)}"

    @property
    def usual(self) -> int:
        """The most seeds that a line has; stated once a chart."""
        return max(len(line.histories) for line in self.lines)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the histories, in the order in which they first appear."""
        return tuple(dict.fromkeys(name for line in self.lines for one in line.histories for name in one.columns))

    def subtitle(self, spread: str) -> str:
        """Profile, data source and seeds; ``spread`` says what is drawn of several seeds."""
        seeds = f"{spread} over {self.usual} seeds" if self.usual > 1 else "1 seed"
        return " · ".join([f"profile {self.profile}", data_title(self.source), seeds])


def task_runs(results: ResultSet) -> list[TaskRuns]:
    """The runs to show of every task.

    Raises:
        ValueError: none of the runs has a history; one line.
    """
    if not results.runs:
        raise ValueError(
            f"{results.folder}: no record matches --profile and --tasks; run a sweep first or choose others"
        )
    shown = with_histories(results)
    if not shown:
        raise ValueError(
            f"{results.folder}: no run that ended well has a history (runs made here do, and packs made with "
            "--histories; overridden settings need --variants)"
        )
    return shown


def with_histories(results: ResultSet) -> list[TaskRuns]:
    """The runs to show; empty where none has a history."""
    groups: dict[tuple[str, str, str], list[ResultCell]] = defaultdict(list)
    for cell in results.cells:
        if cell.primary and not cell.skipped:
            groups[cell.key.profile, cell.key.task, cell.key.data_source].append(cell)
    found = [_task(*group, cells, results.histories) for group, cells in sorted(groups.items())]
    return [runs for runs in found if runs.lines]


def _task(profile: str, task: str, source: str, cells: list[ResultCell], histories: Mapping[str, History]) -> TaskRuns:
    ordered = sorted(cells, key=lambda cell: (method_order(cell.key.method), cell.key.variant))
    lines = [_line(cell, histories) for cell in ordered]
    return TaskRuns(
        profile=profile,
        task=task,
        source=source,
        primary=cells[0].key.metric,
        lines=tuple(line for line in lines if line.histories),
        remarks=tuple(remark for line in lines for remark in _remarks(line)),
    )


def _line(cell: ResultCell, histories: Mapping[str, History]) -> Line:
    key = cell.key
    runs = [run_id(key.profile, key.task, key.method, seed, cell.config_hash) for seed in sorted(cell.values)]
    return Line(key.method, key.variant, tuple(histories[run] for run in runs if run in histories), cell)


def _remarks(line: Line) -> Iterator[Remark]:
    cell, missing = line.cell, line.cell.n - len(line.histories)
    if not cell.n:
        yield Remark(line.name, text_of(cell, cell.n))
    elif cell.n < cell.runs:
        yield Remark(line.name, f"{cell.runs - cell.n} of {cell.runs} runs did not end well")
    if missing:
        yield Remark(line.name, f"{missing} of {cell.n} runs without a history")
