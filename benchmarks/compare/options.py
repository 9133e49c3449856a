"""Options and output that every comparing command shares."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from rich.console import Console

from benchmarks.compare import text
from benchmarks.compare.changes import Comparison
from benchmarks.records.record import write_atomically
from benchmarks.statistics.noise import Rules


def report(comparison: Comparison, console: Console, chosen: argparse.Namespace, title: str, whole: bool = True) -> int:
    """Print the comparison, write the Markdown summary if a file is named; returns the exit status.

    Without failures it is 0, but 2 if inputs were left out (not ``whole``): those may have held one.
    """
    text.show(comparison, console, title, everything=chosen.all)
    if chosen.markdown is not None:
        write_atomically(chosen.markdown, text.markdown(comparison, title))
    return 1 if comparison.failures else 0 if whole else 2


def add_rules(parser: argparse.ArgumentParser) -> None:
    """The options of a comparison."""
    parser.add_argument("--tolerance-sigmas", type=float, default=3.0, metavar="S", help="noise level (default 3)")
    parser.add_argument(
        "--effect", type=float, default=1.0, metavar="F", help="factor on the smallest effects that matter"
    )
    parser.add_argument("--rerun", type=float, default=1.0, metavar="F", help="factor on the rerun tolerances")
    parser.add_argument("--unpaired", action="store_true", help="random draws changed: equal seeds are not paired")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a summary for a pull request")
    parser.add_argument("--all", action="store_true", help="list the cells within noise too")


def rules_from(chosen: argparse.Namespace) -> Rules:
    """The rules that the options of `add_rules` describe.

    Raises:
        ValueError: a number out of range.
    """
    rules = Rules(chosen.tolerance_sigmas, chosen.effect, chosen.rerun, chosen.unpaired)
    if not 0 < rules.sigmas <= 8:
        raise ValueError(f"--tolerance-sigmas {rules.sigmas:g}: choose a number above 0, up to 8")
    if not (0 <= rules.effect < math.inf and 0 <= rules.rerun < math.inf):
        raise ValueError("--effect and --rerun: choose numbers from 0 on; 1 keeps the tolerances as they are")
    return rules
