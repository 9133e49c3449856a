"""Cells: what tables, comparisons and the gate read. `benchmarks.records.aggregation` makes them of records.

A cell is one number's worth of runs: (profile, task, method, metric, variant, data source) under one
configuration hash. Only runs with status ``ok`` and a finite value enter mean and std; the others are
counted, never dropped. With one run the std is NaN (unknown, not zero), with none the mean is NaN as well.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from benchmarks.records.timing import Timing

NAN = float("nan")
#: A larger number is a divergence in disguise (a perplexity is an exponential), and its square overflows.
LARGEST = 1e50


class CellKey(NamedTuple):
    """The key that makes two cells comparable: everything but the configuration hash."""

    profile: str
    task: str
    method: str
    metric: str
    variant: str
    data_source: str

    def __str__(self) -> str:
        variant = f" [{self.variant}]" if self.variant else ""
        return f"{self.profile}:{self.task}:{self.method}:{self.metric}{variant} ({self.data_source})"


@dataclass(frozen=True)
class ResultCell:
    """One metric of one task and method over the seeds; times and memory are those of the runs behind it."""

    key: CellKey
    domain: str
    architecture: str
    dataset: str
    config_hash: str
    fingerprint: str = ""  # of the data; several are joined by "+"
    about_data: str = ""  # what of the data was used, in words
    values: dict[int, float] = field(default_factory=dict)  # seed → value, runs with status ok only
    statuses: dict[str, int] = field(default_factory=dict)  # status → number of runs
    reason: str = ""  # why the first run that is not ok is not
    primary: bool = False  # the metric the task is judged by
    train_seconds: float = NAN  # mean over the ok runs
    samples_per_second: float = NAN  # mean over the ok runs
    peak_memory_mb: float = NAN  # largest of the ok runs: what a machine must have
    budget: int | None = None  # epochs or steps done, mean over the ok runs
    budget_unit: str = ""
    alignment_seconds: float = NAN  # mean over the ok runs that were probed with the clock on
    timings: dict[int, Timing] = field(default_factory=dict, compare=False)  # by seed; a baseline does not keep them

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def runs(self) -> int:
        """Runs that were meant to give a value: all but the skipped ones."""
        return sum(count for status, count in self.statuses.items() if status != "skipped")

    @property
    def ok(self) -> int:
        """Runs that gave a value; more than ``n`` in a mean over scenes, each with runs of its own."""
        return self.statuses.get("ok", 0)

    @cached_property
    def mean(self) -> float:
        return statistics.fmean(self.values.values()) if self.values else NAN

    @cached_property
    def std(self) -> float:
        """Sample standard deviation (ddof = 1); NaN for fewer than two runs."""
        return sample_std(self.values.values())

    @property
    def skipped(self) -> bool:
        """Nothing was run on purpose: the combination does not exist or is out of reach, see ``reason``."""
        return bool(self.statuses) and self.runs == 0


def sample_std(values: Collection[float]) -> float:
    """The sample standard deviation (ddof = 1), NaN of fewer than two values.

    `statistics.stdev` computes with fractions, which takes ten times as long and gives the same to 15 digits.
    """
    if len(values) < 2:
        return NAN
    mean = statistics.fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


class Stale(NamedTuple):
    """Runs of other settings than those that count, left out of the cells."""

    profile: str
    task: str
    method: str
    config_hash: str
    newest_hash: str
    runs: int
    variant: str

    def __str__(self) -> str:
        return (
            f"{self.profile}:{self.task}:{self.method}: {self.runs} run(s) of other settings "
            f"{self.config_hash} left out, {self.newest_hash} counts"
        )


class CellSet(NamedTuple):
    """All cells of a set of records, sorted by key, and what was left out."""

    cells: list[ResultCell]
    stale: list[Stale]


class Slice(NamedTuple):
    """The cells of one profile and data source: what one table may show together."""

    profile: str
    source: str
    cells: Sequence[ResultCell]


def slices_of(cells: Iterable[ResultCell]) -> list[Slice]:
    """``cells`` by profile and data source, in order of their names."""
    found: dict[tuple[str, str], list[ResultCell]] = defaultdict(list)
    for cell in cells:
        found[cell.key.profile, cell.key.data_source].append(cell)
    return [Slice(*where, found[where]) for where in sorted(found)]
