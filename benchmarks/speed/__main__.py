"""Time a training step of every architecture under backprop and its alternatives, and write one table.

    python -m benchmarks.speed [--size published|laptop|both] [--tasks criteo,mnist] [--forms NAME …] [--out FILE.csv]
    python -m benchmarks.speed --tasks mnist/mlp --forms all                    every method there is

Steps are the training loop's, from the next batch to the update. All forms of a subject take turns in one process, and
ratios are paired round by round. ``limit`` is the ratio of matrix products that a form runs, which arithmetic alone
would allow. Memory is the peak of two steps, above the model itself, in a process of their own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed.forms import FORMS, USUAL
from benchmarks.speed.options import add_machine_options, parse
from benchmarks.speed.rounds import WaitsForDevice
from benchmarks.speed.subjects import PROFILES, chosen
from benchmarks.speed.table import Row, measure, show, write_csv
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser
from benchmarks.terminal.console import make_console
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import one_line
from benchmarks.training.machine import tune_process

_ROUNDS = 40


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit status."""
    options = _arguments(arguments)
    console = make_console(soft_wrap=True)
    sizes = list(PROFILES) if options.size == "both" else [options.size]
    try:
        subjects = chosen([pattern for pattern in options.tasks.split(",") if pattern], sizes)
    except UsageError as error:
        guard.fail(error)
    tune_process(options.threads)
    rows: list[Row] = []
    for subject in subjects:
        try:
            found = measure(subject, options)
        except WaitsForDevice as error:
            guard.fail(error)
        except NotImplementedError as error:  # PyTorch: a kernel that this device or precision lacks
            console.print(f"{subject.task}, {subject.size}: left out: {one_line(str(error))}", highlight=False)
            continue
        rows += found
        if options.out:
            _write(found, options.out)  # now: whoever ends the command keeps what was timed
        console.print(f"{subject.task}, {subject.size}: done, on {subject.data} data", highlight=False, markup=False)
    if not rows:
        guard.fail("nothing could be timed")
    show(rows, console)
    return 0


def _write(rows: Sequence[Row], path: Path) -> None:
    try:
        write_csv(rows, path)
    except UsageError as error:
        guard.fail(error)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed", description="Step times, their limits, and memory.")
    parser.add_argument("--size", choices=(*PROFILES, "both"), default="published", help="default: published")
    parser.add_argument("--tasks", default="", help="names, folders or globs, comma between (one per architecture)")
    parser.add_argument(
        "--forms", nargs="*", default=list(USUAL), choices=(*FORMS, "all"), metavar="NAME",
        help=f"all, or some of {', '.join(FORMS)} (default: {', '.join(USUAL)})",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=3.0, help="of timing a subject, six rounds at least (3)")
    parser.add_argument("--no-memory", action="store_true", help="no peak memory, which laptop sizes never have")
    parser.add_argument("--compiled", action="store_true", help="also bp and dfa compiled, after minutes of compiling")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a CSV, whose rows of these tasks it replaces")
    add_machine_options(parser, repeats=_ROUNDS)
    options = parse(parser, arguments)
    if options.out and not options.out.parent.is_dir():
        parser.error(f"argument --out: there is no folder {options.out.parent}")
    options.forms = [form for form in FORMS if form == "bp" or {form, "all"} & set(options.forms)]
    return options


if __name__ == "__main__":
    sys.exit(main())
