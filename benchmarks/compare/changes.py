"""The findings of a comparison: a verdict for every cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.records.cells import CellKey, ResultCell
from benchmarks.statistics.noise import Difference

WORSE, BETTER, WITHIN = "worse", "better", "within noise"
MISSING, RUNS_MISSING, NEWLY_FAILED, ADDED = "missing", "runs missing", "newly failed", "added"
#: Neither direction is better, or neither side has a value.
NOT_JUDGED = "not judged"
FAILING = frozenset({WORSE, MISSING, RUNS_MISSING, NEWLY_FAILED})


@dataclass(frozen=True)
class Change:
    """The verdict on one cell; ``before`` or ``after`` is None where that side lacks it."""

    key: CellKey
    before: ResultCell | None
    after: ResultCell | None
    verdict: str
    difference: Difference | None = None
    reason: str = ""

    @property
    def settings_differ(self) -> bool:
        before, after = self.before, self.after
        return before is not None and after is not None and before.config_hash != after.config_hash


@dataclass(frozen=True)
class Comparison:
    """All verdicts, in the order of the cells' keys, and warnings that fail nothing."""

    changes: list[Change]
    warnings: list[str] = field(default_factory=list)
    failing: frozenset[str] = FAILING
    #: Method → factor by which its training time grew, relative to backprop's; empty where nobody asked.
    speed: Mapping[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> list[Change]:
        return [change for change in self.changes if change.verdict in self.failing]

    def count(self, verdict: str) -> int:
        return sum(change.verdict == verdict for change in self.changes)
