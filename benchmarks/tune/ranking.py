"""Which trial is best, by validation alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import metrics
from benchmarks.records.cells import LARGEST
from benchmarks.records.record import Record, read_record
from benchmarks.tune.search import Trial
from benchmarks.tune.validation import blind

#: The statuses of runs that did not end well; that of a trial is the first that any of its runs has.
_WORST = ("failed", "skipped", "diverged")


@dataclass(frozen=True)
class Result:
    """The result of a trial; ``value`` is ``None`` unless every one of its runs has a finite validation value."""

    trial: Trial
    status: str  # ok, or one of `_WORST`
    value: float | None


@dataclass(frozen=True)
class Ranking:
    """The results of one method: its trials, in their order, and that of the shipped settings, outside the budget."""

    metric: str
    shipped: Result
    results: Sequence[Result]

    @property
    def best(self) -> Result | None:
        """The best trial, the earlier of equal ones; ``None`` if none has a value."""
        return self._best_of(self.results)

    def growth(self) -> dict[int, float | None]:
        """The best value after 1, 2, 4, 8, … trials and after all: where it stops to grow, the budget was enough."""
        total = len(self.results)
        counts = [*(2**i for i in range(total.bit_length()) if 2**i < total), total]
        firsts = {count: self._best_of(self.results[:count]) for count in counts}
        return {count: None if first is None else first.value for count, first in firsts.items()}

    def count(self, status: str) -> int:
        """How many trials ended with ``status``."""
        return sum(result.status == status for result in self.results)

    @property
    def shipped_is_better(self) -> bool:
        """Whether the search has not found what ships already."""
        best = self.best
        if self.shipped.value is None or best is None or best.value is None:
            return False
        return self._sign * (self.shipped.value - best.value) > 0

    @property
    def _sign(self) -> int:
        return metrics.lookup(self.metric).sign

    def _best_of(self, results: Sequence[Result]) -> Result | None:
        valued = [(self._sign * r.value, -r.trial.number, r) for r in results if r.value is not None]
        return max(valued, key=lambda one: one[:2])[2] if valued else None


def rank(trials: Sequence[Trial], records: Path) -> dict[str, Ranking]:
    """The ranking of each method, from the records of its trials, all of which were run.

    Raises:
        ValueError: a record cannot be read, or is of a task that has no validation value; one line naming it.
    """
    rankings = {}
    for method in dict.fromkeys(trial.method for trial in trials):
        judged = [_judge(trial, records) for trial in trials if trial.method == method]
        (shipped,) = [result for result in judged if result.trial.is_shipped]
        rankings[method] = Ranking(
            shipped.trial.metric, shipped, [result for result in judged if result is not shipped]
        )
    return rankings


def _judge(trial: Trial, records: Path) -> Result:
    """The mean over the trial's seeds. One seed that did not end well is enough to make it a bad trial."""
    found = [blind(read_record(records / f"{run.id}.json")) for run in trial.runs]
    statuses = {record.status for record in found}
    if statuses != {"ok"}:
        return Result(trial, next(status for status in _WORST if status in statuses), None)
    values = [_value(record) for record in found]
    if not all(math.isfinite(value) and abs(value) < LARGEST for value in values):
        return Result(trial, "diverged", None)
    return Result(trial, "ok", statistics.fmean(values))


def _value(record: Record) -> float:
    if record.primary_metric not in record.metrics:
        raise ValueError(
            f"{record.run_id}: no {record.primary_metric} in its record; a search needs a validation value"
        )
    return record.metrics[record.primary_metric]
