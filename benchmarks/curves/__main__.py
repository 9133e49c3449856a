"""The command `python -m benchmarks.curves`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.curves import AXES, charts_of, task_runs, write
from benchmarks.records import paths
from benchmarks.records.inputs import LeftOut
from benchmarks.records.result_set import ResultSet
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (2 for bad input)."""
    parser = Parser(
        prog="python -m benchmarks.curves",
        description="Draw learning curves, and alignment over training, from the histories of runs.",
    )
    parser.add_argument("--tasks", default="*", help="only these, e.g. 'nerf_synthetic/*,llff_real/*' (default: all)")
    parser.add_argument("--profile", default="", help="only this profile (default: all)")
    parser.add_argument("--metrics", default="", help="a panel each (default: primary validation metric, train_loss)")
    parser.add_argument("--x", choices=list(AXES), default="step", help="horizontal axis (default: step)")
    parser.add_argument("--variants", action="store_true", help="draw runs with overridden settings too")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--out", type=Path, help="folder of the figures (default: figures/ in the results folder)")
    chosen = parser.parse_args(arguments)
    names = [name.strip() for name in chosen.metrics.split(",") if name.strip()]
    folder = chosen.out or paths.figures(chosen.results)
    try:
        with LeftOut() as left_out:
            results = ResultSet.load(chosen.results, left_out.add)
            profiles = [chosen.profile] if chosen.profile else []
            found = task_runs(results.select(profiles, chosen.tasks, chosen.variants))
        files = write(charts_of(found, chosen.x, names), folder)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for runs in found:
        for remark in runs.remarks:
            sys.stdout.write(f"{runs.profile}:{runs.task}: {remark}\n")
    for path in files:
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
