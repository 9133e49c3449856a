"""The command `python -m benchmarks.report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records.inputs import LeftOut
from benchmarks.report import write
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (2 for bad input)."""
    parser = Parser(
        prog="python -m benchmarks.report",
        description="Write one self-contained HTML report from records, evidence packs, histories and figures.",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument(
        "--out", type=Path, help="the file (default: report.html in the results folder, and figures/headline.svg)"
    )
    parser.add_argument("--profile", default="", help="only this profile (default: all but smoke)")
    chosen = parser.parse_args(arguments)
    try:
        with LeftOut() as left_out:
            files = write(chosen.results, chosen.out, chosen.profile, left_out.add)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for path in files:
        sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
