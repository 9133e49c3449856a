"""Doing planned runs in parallel processes, with a display: what sweeps and searches have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from benchmarks.settings import capacity
from benchmarks.settings.compose import compose
from benchmarks.training.interrupt import StopSignal, stop_signal
from benchmarks.workers.display import Display
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun
from benchmarks.workers.pool import Pool, Queue
from benchmarks.workers.time_left import TimeLeft


@dataclass
class Tally:
    """The outcomes of the runs."""

    failed: list[str] = field(default_factory=list)
    stopped_by: StopSignal | None = None


def jobs_for(asked: int | None, runs: Sequence[QueuedRun]) -> int:
    """The number of processes; unasked, one a GPU, or as many as the cores have room for with a run's threads."""
    if asked is not None or not runs:
        return asked or 1
    hardware = compose(runs[0].overrides).hardware
    return 1 if hardware.device == "cuda" else max(1, capacity.cores() // hardware.threads)


def work_through(
    runs: Sequence[QueuedRun],
    jobs: int,
    plugins: Sequence[str],
    console: Console,
    shown: Callable[[Outcome], Outcome] = lambda outcome: outcome,
    on_recorded: Callable[[QueuedRun, Outcome, Display], None] = lambda run, outcome, display: None,
) -> Tally:
    """Do all runs that are not recorded.

    Args:
        shown: what the display is told of an outcome, for callers that must not show all of it.
        on_recorded: called after each run, with its whole outcome.
    """
    queue = Queue(run for run in runs if not run.recorded)
    jobs = max(1, min(jobs, len(queue)))
    time_left, pool, tally = TimeLeft(jobs), Pool(jobs, plugins), Tally()
    with Display(console, len(runs), len(runs) - len(queue)) as display, stop_signal() as stop:
        try:
            while (queue or pool.busy) and not stop.requested:
                pool.hand_out(queue)
                display.running([each.run for each in pool.busy], time_left.left(queue, pool.busy))
                for run, outcome in pool.collect():
                    if outcome.status in ("busy", "interrupted"):  # another process has it, or its worker was stopped
                        queue.put_back(run)
                        continue
                    time_left.finished(run, outcome)
                    display.finished(run, shown(outcome), time_left.left(queue, pool.busy))
                    tally.failed += [run.id] if outcome.status == "failed" else []
                    on_recorded(run, outcome, display)
        finally:
            try:
                pool.stop()
            finally:  # a stop may be requested while the workers end, too
                tally.stopped_by = stop if stop.requested else None
    return tally
