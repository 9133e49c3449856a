"""Compare two sets of results, cell by cell.

    python -m benchmarks.compare results/baselines/smoke.json results
    python -m benchmarks.compare before/results after/results --profile paper --markdown summary.md

A and B are each a results folder, a records folder, an evidence pack or a baseline JSON. Exit status: 0 fine,
1 if B is worse than A beyond noise and tolerance, or runs are missing or newly failed, 2 for bad input. Speed
only ever warns. How noise is judged: see ``benchmarks.compare_stats``.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks import compare_text, metrics
from benchmarks.cells import Cell, CellKey
from benchmarks.cells_io import load
from benchmarks.compare_stats import Difference, Pair, Rules, difference, typical_noise
from benchmarks.records import write_atomically

WORSE, BETTER, WITHIN = "worse", "better", "within noise"
MISSING, RUNS_MISSING, NEWLY_FAILED, ADDED = "missing", "runs missing", "newly failed", "added"
#: Neither direction is better, or neither side has a value.
NOT_JUDGED = "not judged"
FAILING = frozenset({WORSE, MISSING, RUNS_MISSING, NEWLY_FAILED})


@dataclass(frozen=True)
class Change:
    """The verdict on one cell; ``before`` or ``after`` is None where that side lacks it."""

    key: CellKey
    before: Cell | None
    after: Cell | None
    verdict: str
    difference: Difference | None = None
    reason: str = ""

    @property
    def settings_differ(self) -> bool:
        return bool(self.before and self.after) and self.before.config_hash != self.after.config_hash


@dataclass(frozen=True)
class Comparison:
    """All verdicts, in the order of the cells' keys, and warnings that fail nothing."""

    changes: list[Change]
    warnings: list[str] = field(default_factory=list)
    failing: frozenset[str] = FAILING

    @property
    def failures(self) -> list[Change]:
        return [change for change in self.changes if change.verdict in self.failing]

    def count(self, verdict: str) -> int:
        return sum(change.verdict == verdict for change in self.changes)


def compare(before: Iterable[Cell], after: Iterable[Cell], rules: Rules | None = None) -> Comparison:
    """Judge every cell that either side has."""
    rules = rules or Rules()
    left = {cell.key: cell for cell in before if not cell.skipped}
    right = {cell.key: cell for cell in after if not cell.skipped}
    pairs = [Pair(left[key], right[key]) for key in left if key in right and left[key].n and right[key].n]
    judged = [pair for pair in pairs if metrics.lookup(pair.before.key.metric).sign]
    noise = typical_noise(judged)
    found = {pair.before.key: difference(pair, noise, rules, len(judged)) for pair in pairs}
    keys = sorted(key for key in left.keys() | right.keys() if not _follows(key, left, right))
    changes = [_judge(key, left.get(key), right.get(key), found.get(key)) for key in keys]
    return Comparison(changes, speed_warnings(left.values(), right.values()))


def _follows(key: CellKey, left: dict[CellKey, Cell], right: dict[CellKey, Cell]) -> bool:
    """Whether a secondary metric is one-sided only because its whole run is: the primary metric says so."""
    if key in left and key in right:
        return False
    here, other = (left, right) if key in left else (right, left)
    primary = next(
        (k for k, cell in here.items() if cell.primary and k[:3] == key[:3] and k[4:] == key[4:]), key
    )
    return primary != key and (primary not in other or not other[primary].n)


def _judge(key: CellKey, before: Cell | None, after: Cell | None, found: Difference | None) -> Change:
    if before is None or after is None:
        verdict = ADDED if before is None else MISSING
        return Change(key, before, after, verdict)
    if found is None:
        verdict = NEWLY_FAILED if before.n else ADDED if after.n else NOT_JUDGED
        return Change(key, before, after, verdict, reason=after.reason)
    verdict = _verdict(found, metrics.lookup(key.metric).sign)
    if before.primary and verdict != WORSE:
        if after.runs - after.n > before.runs - before.n:
            return Change(key, before, after, NEWLY_FAILED, found, after.reason)
        if after.n < before.n:
            lost = sorted(before.values.keys() - after.values.keys())
            return Change(key, before, after, RUNS_MISSING, found, f"seeds {', '.join(map(str, lost))}")
    return Change(key, before, after, verdict, found)


def _verdict(found: Difference, sign: int) -> str:
    if not sign:
        return NOT_JUDGED
    if not found.beyond:
        return WITHIN
    return BETTER if sign * found.value > 0 else WORSE


def speed_warnings(before: Iterable[Cell], after: Iterable[Cell], factor: float = 1.25) -> list[str]:
    """Runs that take ``factor`` times as long as before; a remark, since machines and their load differ."""
    old = {cell.key: cell.train_seconds for cell in before if cell.primary}
    slower = []
    for cell in after:
        seconds = old.get(cell.key, 0.0) if cell.primary else 0.0
        if seconds > 0 and cell.train_seconds > factor * seconds:
            slower.append((cell.train_seconds / seconds, f"{cell.key.task} {cell.key.method}"))
    slower.sort(reverse=True)
    if not slower:
        return []
    worst = ", ".join(f"{name} {ratio:.2f}×" for ratio, name in slower[:5])
    return [f"speed: {len(slower)} cell(s) train more than {factor}× as long as before: {worst}"]


def of_profile(cells: Iterable[Cell], profile: str | None) -> list[Cell]:
    """The cells of one profile; all for None."""
    return [cell for cell in cells if profile in (None, cell.key.profile)]


def report(comparison: Comparison, console: Console, chosen: argparse.Namespace, title: str) -> int:
    """Print the comparison, write the Markdown summary if a file is named; returns the exit status."""
    compare_text.show(comparison, console, title, everything=chosen.all)
    if chosen.markdown is not None:
        write_atomically(chosen.markdown, compare_text.markdown(comparison, title))
    return 1 if comparison.failures else 0


def add_rules(parser: argparse.ArgumentParser) -> None:
    """The options of a comparison."""
    parser.add_argument(
        "--tolerance-sigmas", type=float, default=3.0, metavar="S", help="noise level (default 3)"
    )
    parser.add_argument(
        "--effect", type=float, default=1.0, metavar="F", help="factor on the smallest effects that matter"
    )
    parser.add_argument(
        "--rerun", type=float, default=1.0, metavar="F", help="factor on the rerun tolerances"
    )
    parser.add_argument(
        "--unpaired", action="store_true", help="random draws changed: equal seeds are not paired"
    )
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Compare results B with results A: exit 1 if B is worse, 2 for bad input.",
    )
    parser.add_argument(
        "a", type=Path, metavar="A", help="results or records folder, evidence pack or baseline"
    )
    parser.add_argument("b", type=Path, metavar="B", help="the same, to be judged against A")
    parser.add_argument("--profile", help="compare only this profile")
    add_rules(parser)
    chosen = parser.parse_args(arguments)
    try:
        rules = rules_from(chosen)
        sides = [of_profile(load(place).cells, chosen.profile) for place in (chosen.a, chosen.b)]
        for place, cells in zip((chosen.a, chosen.b), sides, strict=True):
            if not cells:
                raise ValueError(f"{place}: nothing of profile {chosen.profile}; leave --profile out")
        comparison = compare(*sides, rules)
        return report(comparison, Console(), chosen, f"{chosen.a} → {chosen.b}")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
