"""The command `python -m benchmarks.compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compare.judge import compare, of_profile
from benchmarks.compare.options import add_rules, report, rules_from
from benchmarks.compare.reproduction import comparable
from benchmarks.records.baseline_file import load
from benchmarks.records.inputs import LeftOut
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser
from benchmarks.terminal.console import make_console


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = Parser(
        prog="python -m benchmarks.compare",
        description="Compare results B with results A: exit 1 if B is worse, 2 for bad input.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="results or records folder, evidence pack or baseline")
    parser.add_argument("b", type=Path, metavar="B", help="the same, to be judged against A")
    parser.add_argument("--profile", help="compare only this profile")
    add_rules(parser)
    chosen = parser.parse_args(arguments)
    try:
        rules = rules_from(chosen)
        with LeftOut() as left_out:
            sides = [of_profile(load(place, left_out.add).cells, chosen.profile) for place in (chosen.a, chosen.b)]
        for place, cells in zip((chosen.a, chosen.b), sides, strict=True):
            if not cells:
                raise ValueError(f"{place}: nothing of profile {chosen.profile}; leave --profile out")
        comparison = compare(*comparable(*sides), rules)
        return report(comparison, make_console(), chosen, f"{chosen.a} → {chosen.b}", whole=not left_out)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
