"""A study: the runs and computations that it plans, and what it concludes from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from benchmarks.curves.chart import Chart
from benchmarks.records.record import Record
from benchmarks.records.run_history import History
from benchmarks.statistics.estimate import estimate
from benchmarks.tables.claims import Claim, Verdict
from benchmarks.workers.plan import Selection

#: What a computation gives, as JSON holds it.
Json = Any


class Measured(NamedTuple):
    """A mean with its 95% interval, NaN where there is none, over ``n`` values."""

    mean: float
    low: float
    high: float
    n: int


def measured(values: Iterable[float], key: str = "") -> Measured:
    """The mean of the finite values, and the bootstrap interval of `benchmarks.statistics`."""
    found = estimate([value for value in values if math.isfinite(value)], key)
    if found is None:
        return Measured(math.nan, math.nan, math.nan, 0)
    low, high = found.interval or (math.nan, math.nan)
    return Measured(found.value, low, high, found.sizes[0])


@dataclass(frozen=True)
class Computation:
    """Something that is computed without a run.

    Attributes:
        name: as of a file.
        version: raised whenever the same settings give other numbers.
        settings: what determines the result, as JSON holds it.
        compute: called with the settings.
    """

    name: str
    version: int
    settings: Mapping[str, Json]
    compute: Callable[..., Json]


@dataclass(frozen=True)
class Done:
    """A finished run, with its history (None without one)."""

    record: Record
    history: History | None

    def setting(self, key: str) -> Any:
        """A setting by its dotted name; None where the run has none of that name."""
        found: Any = {**self.record.config, "seed": self.record.seed}
        for part in key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return None
            found = found[part]
        return found

    def metric(self, name: str) -> float:
        """A metric at the end of the run; NaN without it."""
        return self.record.metrics.get(name, math.nan)

    def alignment(self, point: str) -> float:
        """The mean cosine at a feedback point at the end of the run; NaN without it."""
        points = self.record.alignment.get("points", {})
        return points[point]["mean"] if point in points else math.nan

    def column(self, name: str) -> np.ndarray:
        """A column of the history, ``(rows,)``; empty without one."""
        return np.empty(0) if self.history is None else self.history.column(name)


@dataclass(frozen=True)
class Findings:
    """The runs and computations of one profile, from which a study concludes.

    ``diverged`` runs belong to them and have no numbers: a mean is of the others. ``left_out`` runs are recorded beside
    them that have other settings, or other data.
    """

    study: str
    profile: str
    runs: tuple[Done, ...]
    computed: Mapping[str, Json] = field(default_factory=dict)
    left_out: int = 0
    diverged: tuple[str, ...] = ()

    def where(self, **settings: Any) -> Findings:
        """The runs with these settings; dots of a name are written as two underscores (``task__model__width=8``)."""
        wanted = {key.replace("__", "."): value for key, value in settings.items()}
        chosen = tuple(run for run in self.runs if all(_same(run.setting(key), v) for key, v in wanted.items()))
        return replace(self, runs=chosen)

    def values(self, key: str) -> list[Any]:
        """The values of a setting, each once, sorted."""
        return sorted({run.setting(key.replace("__", ".")) for run in self.runs})

    def of_task(self, task: str) -> Findings:
        """The runs of one task."""
        return replace(self, runs=tuple(run for run in self.runs if run.record.task == task))

    def __iter__(self) -> Iterator[Done]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def without_runs(self) -> Findings:
        """The computations alone: they are of no data that a run has seen."""
        return replace(self, runs=())

    def over_seeds(self, measure: Callable[[Done], float]) -> Measured:
        """The mean of what is measured of each run, with its 95% interval."""
        return measured(map(measure, self.runs), self.study)

    @property
    def data(self) -> str:
        """``real`` or ``stand-in``; both, where runs differ."""
        return ", ".join(sorted({run.record.data.get("source", "") for run in self.runs} - {""}))

    def claim(self, claim: str, quantity: str, found: Measured, reference: str, shown: bool | None) -> Claim:
        """A claim of this study; ``shown`` is None if these runs cannot decide it."""
        verdict = Verdict.NOT_TESTABLE if shown is None else Verdict.SHOWN if shown else Verdict.NOT_SHOWN
        return Claim(self.study, claim, quantity, *found[:3], reference, verdict, found.n, self.profile, self.data)


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-9)
    return bool(found == wanted)


@dataclass(frozen=True)
class Sheet:
    """A table of a study: its rows as text."""

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Conclusion:
    """The claims of a study, with its tables and charts."""

    claims: Sequence[Claim]
    sheets: Sequence[Sheet] = ()
    charts: Sequence[Chart] = ()


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        name, title: as of its module, and as it reads.
        source: the paper.
        conclude: called with the findings of one profile.
        runs: the runs of a profile, as selections of the planner.
        computations: those of a profile.
        order: its place among the studies.
    """

    name: str
    title: str
    source: str
    conclude: Callable[[Findings], Conclusion]
    runs: Callable[[str], Sequence[Selection]] = lambda profile: ()
    computations: Callable[[str], Sequence[Computation]] = lambda profile: ()
    order: int = 0

    def conclusion(self, findings: Findings) -> Conclusion:
        """The conclusion from the findings; its tables say which runs diverged and are in no mean."""
        found = self.conclude(findings)
        if not findings.diverged:
            return found
        note = f"diverged, and in no mean: {', '.join(findings.diverged)}"
        return replace(found, sheets=[replace(sheet, notes=[*sheet.notes, note]) for sheet in found.sheets])
