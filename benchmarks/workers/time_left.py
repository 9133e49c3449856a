"""How long a sweep will still take: expected seconds, corrected by what its runs take, on a simulated schedule."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.workers.heartbeat import SILENT, Pulse
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun

#: Seconds from the start of a worker's process to its first run: it imports PyTorch. Measured on two busy cores.
STARTUP = 6.0
#: Seconds of expected work that the plan is trusted with: one short run alone must not move the estimate far.
_TRUST = 5.0


@dataclass(frozen=True)
class InProgress:
    """A run that a worker has: for how many seconds, what the worker said last, and whether it is its first run."""

    run: QueuedRun
    seconds: float = 0.0
    pulse: Pulse = SILENT
    is_first: bool = False


class TimeLeft:
    """Seconds that a sweep has left."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._expected = self._taken = _TRUST  # seconds of the work that is done: as planned, and in truth

    def finished(self, run: QueuedRun, outcome: Outcome) -> None:
        """Learn from a run that is over. One that was recorded by others, or never trained, teaches nothing."""
        pulse = outcome.pulse
        if pulse.trained == 0:
            return
        if outcome.status == "ok":  # loading, early stopping and the last evaluation are part of what was expected
            self._expected += run.seconds * (1 - pulse.resumed)
            self._taken += outcome.seconds
        else:
            self._expected += run.seconds * pulse.trained
            self._taken += pulse.seconds

    def left(self, waiting: Iterable[QueuedRun], running: Iterable[InProgress]) -> float:
        """Seconds until the last worker is done, if idle workers take the waiting runs in their order."""
        running = list(running)
        slowness = self._slowness(running)
        free = [_remaining(each, slowness) for each in running]
        free += [0.0] * (self._jobs - len(free))
        return makespan(free, (slowness * run.seconds for run in waiting))

    def _slowness(self, running: Iterable[InProgress]) -> float:
        """Real seconds for an expected one; runs in progress count by the share that they have done."""
        expected, taken = self._expected, self._taken
        for each in running:
            if each.pulse.trained > 0:
                expected += each.run.seconds * each.pulse.trained
                taken += each.pulse.seconds
        return taken / expected


def makespan(free: list[float], durations: Iterable[float]) -> float:
    """When the last worker is done, if each next run goes to the worker that is free first (list scheduling).

    free: when each worker is free; durations: of the runs, in their order.
    """
    free = list(free)
    heapq.heapify(free)
    for seconds in durations:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _remaining(each: InProgress, slowness: float) -> float:
    """Seconds that a run in progress has left. The more of it is done, the more its own pace counts."""
    pulse, expected = each.pulse, each.run.seconds
    if pulse.trained > 0:
        own = pulse.seconds / (expected * pulse.trained)
        pace = pulse.done * own + (1 - pulse.done) * slowness
        return (1 - pulse.done) * expected * pace
    waited = max(each.seconds - STARTUP, 0.0) if each.is_first else each.seconds
    startup = max(STARTUP - each.seconds, 0.0) if each.is_first else 0.0
    return startup + max(slowness * expected - waited, 0.0)
