"""The command `python -m benchmarks.embeddings`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.embeddings.draw import png
from benchmarks.embeddings.recorded import figures_of
from benchmarks.records import paths
from benchmarks.records.inputs import LeftOut
from benchmarks.records.record import write_atomically
from benchmarks.records.result_set import ResultSet
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser
from benchmarks.terminal.names import inside


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (2 for bad input, 130 if interrupted)."""
    chosen = _parser().parse_args(arguments)
    folder = chosen.out or paths.figures(chosen.results)
    try:
        with LeftOut() as left_out:
            results = ResultSet.load(chosen.results, left_out.add)
            chosen_runs = results.select([chosen.profile] if chosen.profile else [], chosen.tasks)
            figures, remarks = figures_of(chosen_runs, chosen.seed)
        for remark in remarks:
            sys.stdout.write(f"{remark}\n")
        for figure in figures:
            path = inside(folder, folder / f"{figure.name}.png")
            write_atomically(path, png(figure))
            sys.stdout.write(f"{path}\n")
    except ValueError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; figures not named above were not written\n")
        return 130
    return 0


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not a seed: a whole number from 0 on")
    return int(text)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.embeddings",
        description="Draw the hidden layer of recorded runs, methods side by side, by t-SNE and PCA.",
    )
    tasks = "citation/gcn_*"
    parser.add_argument("--tasks", default=tasks, help=f"names or patterns, comma-separated (default: {tasks})")
    parser.add_argument("--profile", default="", help="only this profile (default: all)")
    parser.add_argument("--seed", type=_seed, default=0, help="whose runs are drawn (default: 0)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--out", type=Path, help="folder of the figures (default: figures/ in the results folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
