"""The command `python -m benchmarks.history`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.curves import write as draw
from benchmarks.history import file, text
from benchmarks.history.chart import chart_of
from benchmarks.history.trend import trends
from benchmarks.records import paths
from benchmarks.records.inputs import LeftOut, OnBad
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, profile
from benchmarks.terminal.names import inside


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (2 for bad input)."""
    parser = Parser(
        prog="python -m benchmarks.history", description="Show how the results of landed baselines moved over time."
    )
    parser.add_argument("--profile", type=profile, default="smoke", help="whose baseline (default: smoke)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--last", type=int, default=4, metavar="N", help="baselines in the table (default: 4)")
    chosen = parser.parse_args(arguments)
    try:
        with LeftOut() as left_out:
            path = inside(chosen.results, paths.history(chosen.results, chosen.profile))
            _trend(chosen, path, left_out.add)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _trend(chosen: argparse.Namespace, path: Path, on_bad: OnBad) -> None:
    if chosen.last < 1:
        raise ValueError(f"--last {chosen.last}: show 1 baseline or more")
    snapshots = file.read(path, on_bad)
    if not snapshots:
        raise ValueError(f"{path}: no baselines; make baseline adds one")
    found = trends(snapshots)
    figures = draw([chart_of(chosen.profile, snapshots)], paths.figures(paths.published(chosen.results)))
    sys.stdout.write(f"{text.table(snapshots, found, chosen.last)}\n\n{text.NOTE}\n")
    sys.stdout.write(f"{text.summary(snapshots, found)}\n{figures[0]}\n")


if __name__ == "__main__":
    sys.exit(main())
