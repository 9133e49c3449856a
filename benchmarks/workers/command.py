"""The frame of the commands that do many runs (sweep, tune, studies): their help, their errors, and how they end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from benchmarks.terminal import guard
from benchmarks.terminal.console import make_console
from benchmarks.training.interrupt import CONTINUES
from benchmarks.workers.workload import Tally


def run_command(usage: str, work: Callable[[Sequence[str], Console], bool]) -> None:
    """Print ``usage`` if help is asked for, else do ``work``, which returns whether a run failed.

    The exit code is 0, or 1 if a run failed, 2 for a ValueError (bad settings, data, records or plugins; one line), and
    130 for Ctrl-C.
    """
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(usage)
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    console = make_console(soft_wrap=True)
    try:
        failed = work(arguments, console)
    except ValueError as error:
        guard.fail(error)
    except KeyboardInterrupt:
        console.print(CONTINUES)
        raise SystemExit(130) from None
    if failed:
        raise SystemExit(1)


def end_if_stopped(tally: Tally, console: Console) -> None:
    """End the program with the signal's exit code if a signal stopped the runs."""
    if tally.stopped_by:
        console.print(CONTINUES)
        raise SystemExit(tally.stopped_by.exit_code)
