"""A sweep on a clock that is made up: its workers, their pulses, and what is said to be left at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.workers.heartbeat import Pulse
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun, in_order
from benchmarks.workers.time_left import InProgress, TimeLeft

_LOADING, _TESTING = 0.02, 0.05  # shares of a run before its first step and after its last


@dataclass(frozen=True)
class Span:
    """A run on a worker: handed out at ``given`` (a first run then waits for its worker), working until ``end``."""

    run: QueuedRun
    given: float
    begin: float
    end: float

    def pulse(self, now: float) -> Pulse:
        seconds = self.end - self.begin
        trained = min(now, self.end - _TESTING * seconds) - (self.begin + _LOADING * seconds)
        if trained <= 0:
            return Pulse()
        return Pulse(trained, trained / (seconds * (1 - _LOADING - _TESTING)))


class SimulatedSweep:
    """All spans of a sweep: ``truth`` are the real seconds of the runs, by id."""

    def __init__(self, runs: Sequence[QueuedRun], truth: dict[str, float], jobs: int, startup: float) -> None:
        self.jobs, self.spans = jobs, []
        free = dict.fromkeys(range(jobs), 0.0)
        self.waiting = in_order(runs)
        for number, run in enumerate(self.waiting):
            worker = min(free, key=lambda w: free[w])
            begin = free[worker] + (startup if number < jobs else 0.0)
            self.spans.append(Span(run, free[worker], begin, begin + truth[run.id]))
            free[worker] = self.spans[-1].end
        self.end = max(free.values())

    @property
    def busy_share(self) -> float:
        """Of the workers' time until the last has ended; starting up is work."""
        return sum(span.end - span.given for span in self.spans) / (self.jobs * self.end)

    def said(self, now: float) -> float:
        """The seconds that are said to be left at ``now``."""
        left = TimeLeft(self.jobs)
        for span in self.spans:
            if span.end <= now:
                left.finished(span.run, Outcome("ok", span.end - span.begin, None, span.pulse(span.end)))
        running = [
            InProgress(span.run, now - span.given, span.pulse(now), span.begin > span.given)
            for span in self.spans
            if span.given <= now < span.end
        ]
        return left.left([span.run for span in self.spans if span.given > now], running)
