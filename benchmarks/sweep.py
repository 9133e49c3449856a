"""Many runs: ``python -m benchmarks.sweep profile=quick tasks=citation seeds=3 jobs=2``.

    profile=NAME     smoke, quick, long or paper (default quick)
    tasks=A,B        names, folders or globs: citation, citation/*_cora (default: all)
    methods=A,B      default: all, those of plugins included
    seeds=N or 0,4   a count, or a list (default: what the profile says)
    jobs=N           processes, one thread each (default: one per core)
    plugins=a.py,b   files or modules that register methods of your own
    results=DIR      where records, tables and checkpoints go (default: results)
    KEY=VALUE        any setting of a run, as for benchmarks.run

What is recorded is skipped; a sweep that was stopped or killed continues where it was. Ends with the tables.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.console import Console

from benchmarks.checkpoint import stop_signal
from benchmarks.compose import UsageError, fail, load_plugins, plugins_named_in
from benchmarks.execute import Run, failed_record
from benchmarks.plan import PlannedRun, Selection, parse_seeds, plan
from benchmarks.progress import Display, Estimate
from benchmarks.worker import Outcome, serve
from datasets.errors import DataError

_BUSY_PAUSE = 1.0  # seconds before asking again for a run that another sweep has


@dataclass
class Arguments:
    """The command line."""

    selection: Selection
    jobs: int
    results: Path
    plugins: list[str]


@dataclass
class Worker:
    """A worker process and what it does."""

    process: BaseProcess
    connection: Connection
    run: PlannedRun | None = None
    since: float = 0.0


@dataclass
class Tally:
    """What came of a sweep."""

    failed: list[str] = field(default_factory=list)
    interrupted: bool = False


def main() -> None:
    """Parse, plan, sweep, show the tables."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(__doc__ or "")
        return
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    console = Console(soft_wrap=True)
    try:
        arguments = parse(sys.argv[1:])
        load_plugins(arguments.plugins)
        runs = plan(arguments.selection)
    except (UsageError, DataError, ValueError) as error:
        fail(error)
    tally = sweep(runs, arguments, console)
    if tally.interrupted:
        console.print("interrupted; the same command continues where it stopped")
        raise SystemExit(130)
    _show_tables(arguments, console)
    if tally.failed:
        console.print(f"{len(tally.failed)} run(s) failed: {', '.join(tally.failed)}", markup=False)
        raise SystemExit(1)


def parse(arguments: Sequence[str]) -> Arguments:
    """Split the command line into what the sweep takes and what it passes on to the runs."""
    taken = {"profile": "quick", "tasks": "", "methods": "", "seeds": "", "jobs": "", "results": "results"}
    passed_on: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UsageError(f"'{argument}': write key=value; see python -m benchmarks.sweep --help")
        if key in taken:
            taken[key] = value or taken[key]  # an empty value (a make variable not set) means the default
        elif key != "plugins":
            passed_on.append(argument)
    jobs = taken["jobs"] or str(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    if not jobs.isdigit() or int(jobs) < 1:
        raise UsageError(f"jobs='{jobs}': give the number of processes, 1 or more")
    if taken["results"] != "results":
        passed_on.append(f"results={taken['results']}")
    selection = Selection(
        profile=taken["profile"],
        tasks=_listed(taken["tasks"]),
        methods=_listed(taken["methods"]),
        seeds=parse_seeds(taken["seeds"]) if taken["seeds"] else None,
        overrides=passed_on,
    )
    return Arguments(selection, int(jobs), Path(taken["results"]), plugins_named_in(arguments))


def sweep(runs: Sequence[PlannedRun], arguments: Arguments, console: Console) -> Tally:
    """Do all runs that are not recorded, in parallel processes."""
    waiting = deque(run for run in runs if not run.recorded)
    tally = Tally()
    jobs = min(arguments.jobs, len(waiting))
    estimate = Estimate(max(jobs, 1))
    with Display(console, len(runs), len(runs) - len(waiting)) as display, stop_signal() as stop:
        rows = TaskRows(runs, arguments, display)
        workers = [_start_worker(arguments.plugins) for _ in range(jobs)]
        try:
            while (waiting or any(worker.run for worker in workers)) and not stop.requested:
                _hand_out(workers, waiting)
                busy = {w.run.id: (w.run, w.since) for w in workers if w.run}
                display.running([run for run, _ in busy.values()], estimate.left(waiting, busy))
                for worker, outcome in _collect(workers, arguments.plugins):
                    run = worker.run
                    worker.run = None
                    if outcome.status == "busy":
                        waiting.append(run)
                        time.sleep(_BUSY_PAUSE if len(waiting) == 1 else 0)
                        continue
                    if outcome.status == "interrupted":
                        continue
                    estimate.finished(run, outcome.seconds)
                    display.finished(run, outcome, estimate.left(waiting, {}))
                    rows.finished(run)
                    if outcome.status == "failed":
                        tally.failed.append(run.id)
        finally:
            tally.interrupted = stop.requested
            _stop_workers(workers, stop.requested)
    return tally


class TaskRows:
    """Prints a task's table row as soon as its last run is done."""

    def __init__(self, runs: Sequence[PlannedRun], arguments: Arguments, display: Display) -> None:
        self._arguments, self._display = arguments, display
        self._open: dict[str, int] = {}
        for run in runs:
            self._open[run.task] = self._open.get(run.task, 0) + (not run.recorded)

    def finished(self, run: PlannedRun) -> None:
        """One more run of a task is recorded."""
        from benchmarks.tables import task_row

        self._open[run.task] -= 1
        if self._open[run.task] == 0:
            self._display.say(task_row(self._arguments.results, self._arguments.selection.profile, run.task))


def _start_worker(plugins: Sequence[str]) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, list(plugins), os.getpid()), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours)


def _hand_out(workers: Sequence[Worker], waiting: deque[PlannedRun]) -> None:
    for worker in workers:
        if worker.run is None and waiting:
            worker.run, worker.since = waiting.popleft(), time.monotonic()
            worker.connection.send(worker.run.overrides)


def _collect(workers: list[Worker], plugins: Sequence[str]) -> list[tuple[Worker, Outcome]]:
    """Outcomes that have arrived, waiting up to half a second. A worker that died is replaced, its run failed."""
    collected = []
    ready = set(wait([worker.connection for worker in workers], timeout=0.5))
    for worker in workers:
        if worker.connection not in ready:
            continue
        try:
            outcome = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            outcome = _died(worker)
            fresh = _start_worker(plugins)
            worker.process, worker.connection = fresh.process, fresh.connection
        if worker.run is not None:
            collected.append((worker, outcome))
    return collected


def _died(worker: Worker) -> Outcome:
    worker.process.join()
    code = worker.process.exitcode
    if worker.run is None:
        return Outcome("failed")
    error = RuntimeError(
        f"the worker process ended with exit code {code} (-9: killed, perhaps for lack of memory)"
    )
    record = failed_record(Run.plan(worker.run.overrides), error)
    return Outcome("failed", time.monotonic() - worker.since, record)


def _stop_workers(workers: Sequence[Worker], interrupted: bool) -> None:
    """Idle workers end when their connection closes; busy ones are asked to save a checkpoint first."""
    for worker in workers:
        if interrupted and worker.process.pid is not None and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGTERM)
    for worker in workers:
        worker.connection.close()
    for worker in workers:
        worker.process.join()


def _show_tables(arguments: Arguments, console: Console) -> None:
    from benchmarks.tables import rebuild, show

    written = rebuild(arguments.results)
    show(arguments.results, arguments.selection.profile, console)
    folders = sorted({str(path.parent) for path in written})
    console.print(f"{len(written)} table files in {', '.join(folders)}", highlight=False)


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


if __name__ == "__main__":
    main()
