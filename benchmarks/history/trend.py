"""The trend over snapshots: how far each line moved, and whether it drifts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.catalogue.metric import Metric
from benchmarks.history.baseline_snapshot import BaselineSnapshot, Level, Line
from benchmarks.records import metrics

DRIFT, STEP = "drift", "step"


@dataclass(frozen=True)
class Trend:
    """One line over all snapshots; None where a snapshot does not have it."""

    line: Line
    metric: Metric
    levels: tuple[Level | None, ...]

    @cached_property
    def stretch(self) -> list[float]:
        """The means since tasks, settings or data last changed: only these differ by the code alone."""
        backwards = [level for level in reversed(self.levels) if level is not None]
        same = itertools.takewhile(lambda level: level.settings == backwards[0].settings, backwards)
        return [level.mean for level in same][::-1]

    @property
    def since_first(self) -> float:
        """Change over the `stretch`."""
        return self.stretch[-1] - self.stretch[0]

    @property
    def since_last(self) -> float:
        """Change by the newest snapshot; 0 if that is the first of its `stretch`."""
        return self.stretch[-1] - self.stretch[-2:][0]

    @property
    def tolerance(self) -> float:
        """The change that the gate lets pass in every seed; a mean over tasks moves further only if some task did."""
        return self.metric.tolerance("rerun_tolerance", self.stretch[0])

    @property
    def verdict(self) -> str:
        """`DRIFT`: beyond the tolerance though no single snapshot was; `STEP`: some single snapshot was; or nothing."""
        steps = [abs(after - before) for before, after in itertools.pairwise(self.stretch)]
        if max(steps, default=0.0) > self.tolerance:
            return STEP
        return DRIFT if abs(self.since_first) > self.tolerance else ""

    @property
    def worse(self) -> bool:
        """Whether it moved to the worse since the first."""
        return self.metric.sign * self.since_first < 0

    def restarted(self, number: int) -> bool:
        """Whether snapshot ``number`` (from 0) has other tasks, settings or data than the one before it."""
        return number in self._restarts

    @cached_property
    def _restarts(self) -> frozenset[int]:
        known = [(number, level.settings) for number, level in enumerate(self.levels) if level is not None]
        return frozenset(number for (_, former), (number, one) in itertools.pairwise(known) if one != former)


def trends(snapshots: Sequence[BaselineSnapshot]) -> list[Trend]:
    """A trend for each line that the newest snapshot has, by domain, architecture and method."""
    newest = snapshots[-1]
    return [
        Trend(line, metrics.lookup(level.metric), tuple(_level(snapshot, line, level) for snapshot in snapshots))
        for line, level in sorted(newest.levels.items())
    ]


def _level(snapshot: BaselineSnapshot, line: Line, newest: Level) -> Level | None:
    """The line's level in ``snapshot``; one of another metric cannot be compared with the newest."""
    found = snapshot.levels.get(line)
    return found if found is not None and found.metric == newest.metric else None
