"""A sweep's display: live bars on a terminal, plain lines elsewhere, with an estimate of the time left."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from benchmarks.records import metrics
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun


class Display:
    """Shows what a sweep does."""

    def __init__(self, console: Console, total: int, recorded: int) -> None:
        self._console = console
        self._live = console.is_terminal
        self._total, self._done = total, recorded
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"), console=console, disable=not self._live,
        )  # fmt: skip
        self._bar: TaskID = self._progress.add_task("runs", total=total, completed=recorded, left="")

    def __enter__(self) -> Display:
        self._progress.start()
        if recorded := self._done:
            self._console.print(f"{recorded} of {self._total} runs are recorded already")
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def finished(self, run: QueuedRun, outcome: Outcome, left: float) -> None:
        """A run is recorded."""
        self._done += 1
        self._progress.update(self._bar, completed=self._done, left=_left(left))
        line = f"[{self._done}/{self._total}] {run.task} {run.method} seed {run.seed}: {_result(outcome)}"
        if outcome.status != "ok" or not self._live:
            self._console.print(f"{line}  {outcome.seconds:.1f} s  {_left(left)}", markup=False, highlight=False)

    def running(self, runs: Iterable[QueuedRun], left: float) -> None:
        """The runs in progress."""
        names = ", ".join(f"{run.task} {run.method}" for run in runs)
        self._progress.update(self._bar, description=names or "waiting", left=_left(left))

    def say(self, message: object) -> None:
        """A line (or a table row) above the bars."""
        self._console.print(message, highlight=False, markup=False)


def _result(outcome: Outcome) -> str:
    record = outcome.record
    if record is None or record.status not in ("ok", "diverged"):
        return f"{outcome.status} ({record.reason if record else outcome.trouble})"
    name = record.primary_metric
    value = record.metrics.get(name, float("nan"))
    flag = "" if record.status == "ok" else f" ({record.status})"
    return f"{name} {value:.{metrics.lookup(name).decimals}f}{flag}"


def _left(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {hours}:{minutes:02d}:{rest:02d} left" if hours else f"about {minutes}:{rest:02d} left"
