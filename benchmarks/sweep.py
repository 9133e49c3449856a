"""Many runs: ``python -m benchmarks.sweep profile=quick tasks=citation seeds=3 jobs=2``.

    profile=NAME     smoke, quick, long or paper (default quick)
    tasks=A,B        names, folders or globs: citation, citation/*_cora (default: all); representatives: one task
                     for each architecture, examples: one for each domain
    methods=A,B      default: bp, dfa, shallow and those of plugins; all: every method there is
    seeds=N or 0,4   a count, or a list (default: what the profile says)
    jobs=N           processes (default: as many as the cores have room for; one where hardware=gpu)
    plugins=a.py,b   files or modules that register methods of your own
    results=DIR      where records, tables and checkpoints go (default: results)
    show=all         print every table at the end (default: the headline, and where the tables are)
    KEY=VALUE        any setting of a run, as for benchmarks.run

What is recorded is skipped; a sweep that was stopped or killed continues where it was. Profiles that want real data
leave out the tasks whose data are not there, unless they are named. Writes all tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks.records import paths
from benchmarks.records.inputs import LeftOut, ignore_reported
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.terminal import guard
from benchmarks.wandb_logging.connection import check_account
from benchmarks.workers.command import end_if_stopped, run_command
from benchmarks.workers.display import Display
from benchmarks.workers.outcome import Outcome, failures
from benchmarks.workers.plan import QueuedRun, plan
from benchmarks.workers.request import Arguments, parse
from benchmarks.workers.workload import Tally, jobs_for, work_through

if TYPE_CHECKING:
    from benchmarks.tables.table_set import TableSet


@guard.command
def main() -> None:
    """Parse, plan, sweep, show the tables."""
    run_command(__doc__ or "", _plan_and_sweep)


def _plan_and_sweep(given: Sequence[str], console: Console) -> bool:
    """The whole command; returns whether a run failed."""
    arguments = parse(given)
    if arguments.plugins:
        load_plugins(arguments.plugins)
    runs = plan(arguments.selection, lambda task, reason: console.print(f"left out: {task}: {reason}", markup=False))
    logger = compose(runs[0].overrides).logger if runs else None
    if logger:
        check_account(logger)
    tally = sweep(runs, arguments, console)
    end_if_stopped(tally, console)
    tables = _show_tables(arguments, console)
    if logger and logger.name == "wandb":
        from benchmarks.tables.wandb import send_tables

        send_tables(tables, arguments.selection.profile, logger)
    if tally.failed:
        console.print(f"{len(tally.failed)} run(s) failed: {', '.join(tally.failed)}", markup=False)
        console.print(f"what went wrong in them: {failures(arguments.results)}", markup=False)
    return bool(tally.failed)


def sweep(runs: Sequence[QueuedRun], arguments: Arguments, console: Console) -> Tally:
    """Do all runs that are not recorded, in parallel processes, with a row for each task that is done."""
    if not all(run.recorded for run in runs):
        paths.make(arguments.results)
    rows = TaskRows(runs, arguments)
    return work_through(runs, jobs_for(arguments.jobs, runs), arguments.plugins, console, on_recorded=rows.recorded)


class TaskRows:
    """Prints a task's table row as soon as its last run is done."""

    def __init__(self, runs: Sequence[QueuedRun], arguments: Arguments) -> None:
        self._arguments = arguments
        self._open: dict[str, int] = {}
        for run in runs:
            self._open[run.task] = self._open.get(run.task, 0) + (not run.recorded)

    def recorded(self, run: QueuedRun, outcome: Outcome, display: Display) -> None:
        """One more run of a task is recorded."""
        from benchmarks.tables import task_row

        self._open[run.task] -= 1
        is_variant = outcome.record is not None and outcome.record.variant != ""  # those have a table of their own
        if self._open[run.task] == 0 and not is_variant:
            display.say(task_row(self._arguments.results, self._arguments.selection.profile, run.task, ignore_reported))


def _show_tables(arguments: Arguments, console: Console) -> TableSet:
    from benchmarks.tables import rebuild
    from benchmarks.tables.table_set import TableSet
    from benchmarks.tables.terminal import show, show_headline

    with LeftOut() as left_out:
        tables = TableSet.load(arguments.results, left_out.add)
        written = rebuild(tables)
    (show if arguments.show_all else show_headline)(tables, arguments.selection.profile, console)
    mine = paths.tables(arguments.results) / arguments.selection.profile
    names = sorted(path.stem for path in written if path.parent == mine and path.suffix == ".md")
    console.print(f"{len(written)} table files in {mine.parent}; of this profile, in {mine}: {', '.join(names)}",
                  highlight=False, markup=False)  # fmt: skip
    if not arguments.show_all:
        console.print("on the screen: make tables ARGS=--show, or show=all with the sweep", highlight=False)
    return tables


if __name__ == "__main__":
    main()
