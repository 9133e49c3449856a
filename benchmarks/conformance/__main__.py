"""The command `python -m benchmarks.conformance my_method.py`."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.catalogue.methods import entry_for, known_methods, shipped_methods
from benchmarks.conformance.checks import CHECKS, Failure, Trial
from benchmarks.settings.choices import methods_named
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser
from benchmarks.terminal.console import make_console
from benchmarks.terminal.names import one_line
from benchmarks.training import machine
from benchmarks.workers.plan import matching_tasks
from dfa_core import FeedbackError, UnsuitableError


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 1 if a check failed, 2 for bad input."""
    parser = Parser(
        prog="python -m benchmarks.conformance",
        description="Try methods on one small task of every architecture: do they train, resume, keep their state, "
        "start like the others, and can their alignment be measured?",
    )
    parser.add_argument("plugins", nargs="*", metavar="FILE.py", help="files or modules that register methods")
    parser.add_argument("--methods", default="", help="names, comma between (default: those of the files, else all)")
    parser.add_argument("--tasks", default="representatives", help="names, folders or globs, comma between")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    machine.tune_process(threads=1)  # as runs do by default: sums of several threads differ from time to time
    try:
        if chosen.plugins:
            load_plugins(chosen.plugins)
        methods = _methods(chosen.methods)
        tasks = matching_tasks(chosen.tasks.split(","))
        with tempfile.TemporaryDirectory() as results:
            return _report(tasks, methods, results, make_console())
    except ValueError as error:
        guard.fail(error)


def _methods(asked: str) -> list[str]:
    known = known_methods()
    own = [name for name in known if name not in shipped_methods()]
    return methods_named([name for name in asked.split(",") if name]) or own or list(known)


def _report(tasks: Sequence[str], methods: Sequence[str], results: str, console: Console) -> int:
    failures: list[str] = []
    for method in methods:
        table = Table("task", *CHECKS, title=method, title_justify="left")
        for task in tasks:
            cells = dict(_checked(task, method, results))
            table.add_row(task, *(cells.get(name, "") for name in CHECKS))
            failures += [f"{method} on {task}: {name}: {text}" for name, text in cells.items() if _failed(text)]
        console.print(table)
    for failure in failures:
        console.print(failure, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(failures)} failure(s) in {len(methods)} method(s) on {len(tasks)} task(s)")
    return 1 if failures else 0


def _checked(task: str, method: str, results: str) -> Iterator[tuple[str, str]]:
    """The outcome of each check: "ok", "– reason" where the task does not have the method, or what is wrong."""
    skipped = compose([f"task={task}", f"method={method}", "profile=smoke"]).task.skip
    if reason := entry_for(method, skipped):
        yield next(iter(CHECKS)), f"– {reason}"
        return
    trial = Trial.of(task, method, results)
    try:
        trial.loop()
    except UnsuitableError as error:
        yield next(iter(CHECKS)), f"– {one_line(str(error))}"
        return
    except (Exception, SystemExit):  # noqa: BLE001  (the checks below meet it again, and name it)
        pass
    for name, check in CHECKS.items():
        try:
            check(trial)
        except (Failure, FeedbackError) as error:
            yield name, one_line(str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001  (somebody else's method may raise anything, and exit)
            yield name, f"{type(error).__name__}: {one_line(str(error))}"
        else:
            yield name, "ok"


def _failed(text: str) -> bool:
    return text != "ok" and not text.startswith("–")


if __name__ == "__main__":
    sys.exit(main())
