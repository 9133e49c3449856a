"""The command `python -m benchmarks.submit`: see docs/submitting.md."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.catalogue.methods import entry_behind, known_methods, shipped_methods
from benchmarks.records import paths
from benchmarks.records.packs import pack
from benchmarks.records.record import Record, iterate_records
from benchmarks.settings.compose import load_plugins
from benchmarks.settings.quoting import quoted
from benchmarks.statistics.comparison import CONTROL, REFERENCE
from benchmarks.submit.check import SEEDS, check_file, problems_of, unknown_methods
from benchmarks.submit.planned import is_of_this_checkout, unverified
from benchmarks.submit.repeat import repeat, to_repeat
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, not_negative, positive
from benchmarks.terminal.errors import UsageError
from benchmarks.training.interrupt import CONTINUES, stop_signal

_LOOK = 0.2  # seconds between two looks at whether a stop was asked for


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 1 where something failed or was rejected, 2 for bad input."""
    parser = Parser(prog="python -m benchmarks.submit", description="Make or verify the evidence of a method.")
    commands = parser.add_subparsers(required=True, metavar="make|check", dest="command")
    making = commands.add_parser("make", help="conformance, runs and pack of a method")
    making.add_argument("plugin", help="the file that registers the method")
    making.add_argument("--tasks", default="representatives", help="as of a sweep (default: one of each architecture)")
    making.add_argument("--profile", default="quick", help="default: quick")
    making.add_argument("--seeds", type=positive, default=SEEDS, help=f"{SEEDS} or more")
    making.add_argument("--results", type=Path, default=Path("submission"), help="where runs and pack go")
    checking = commands.add_parser("check", help="verify a pack")
    checking.add_argument("pack", type=Path)
    checking.add_argument("--plugin", help="the method's file, to repeat runs of it")
    checking.add_argument(
        "--rerun", type=not_negative, default=1, help="runs of each method to repeat, of the shortest tasks"
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    try:
        return (_make if chosen.command == "make" else _check)(chosen)
    except ValueError as error:
        guard.fail(error)


def _make(chosen: argparse.Namespace) -> int:
    load_plugins([chosen.plugin])
    own = [name for name in known_methods() if name not in shipped_methods()]
    if chosen.seeds < SEEDS:
        raise UsageError(f"--seeds {chosen.seeds}: a submission has {SEEDS} or more")
    conform = ["conformance", chosen.plugin, "--tasks", chosen.tasks]
    sweep = [
        *("sweep", f"profile={chosen.profile}", f"tasks={chosen.tasks}", f"seeds={chosen.seeds}"),
        *(f"methods={','.join([REFERENCE, CONTROL, *own])}", f"plugins=[{quoted(chosen.plugin)}]"),
        f"results={chosen.results}",
    ]
    for command in (conform, sweep):
        if status := _run(f"benchmarks.{command[0]}", *command[1:]):
            sys.stderr.write(f"benchmarks.{command[0]} ended with {status}; nothing was packed\n")
            return 1
    file = chosen.results / f"{own[0]}.jsonl.gz"
    count = pack(submitted(chosen.results, own), file)
    sys.stdout.write(f"{file}: {count} records\n")
    return _reported(file, problems_of(file)[1])


def _run(module: str, *arguments: str) -> int:
    """The exit status of another command; whatever ends this one ends that one in good order first.

    Raises:
        SystemExit: this process was asked to stop.
    """
    with stop_signal() as stop:
        child = subprocess.Popen([sys.executable, "-m", module, *arguments])
        is_told = False
        while True:
            with suppress(subprocess.TimeoutExpired):
                status = child.wait(_LOOK)
                break
            if stop.requested and not is_told:
                child.terminate()
                is_told = True
    if stop.requested:
        sys.stderr.write(f"{CONTINUES}\n")
        raise SystemExit(stop.exit_code)
    return status


def submitted(results: Path, own: Sequence[str]) -> Iterator[Record]:
    """The records of the methods ``own`` and of those that they are compared with, without earlier versions'."""
    for record in iterate_records(paths.records(results)):
        if entry_behind(record.method).name in (REFERENCE, CONTROL, *own) and is_of_this_checkout(record):
            yield record


def _check(chosen: argparse.Namespace) -> int:
    check_file(chosen.pack)
    if chosen.plugin:
        load_plugins([chosen.plugin])
    records, problems = problems_of(chosen.pack)
    if unknown := unknown_methods(records):
        message = f"unknown method {', '.join(unknown)}: give its file with --plugin; without it no run can be verified"
        raise UsageError(message)
    if left := unverified(records):
        sys.stdout.write(f"{len(left)} record(s) not verified against the shipped settings: their data are not here\n")
    if not problems and chosen.rerun:
        with tempfile.TemporaryDirectory() as folder:
            again = to_repeat(records, chosen.rerun)
            sys.stdout.writelines(f"run again: {record.run_id}\n" for record in again)
            sys.stdout.flush()
            problems += repeat(again, Path(folder))
    return _reported(chosen.pack, problems)


def _reported(file: Path, problems: Sequence[str]) -> int:
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(f"{file}: {f'rejected, {len(problems)} problem(s)' if problems else 'accepted'}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
