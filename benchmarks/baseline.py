"""The regression gate: write a baseline from smoke records, and check later records against it.

    python -m benchmarks.baseline write          make baseline: results/baselines/smoke.json
    python -m benchmarks.baseline check          make regression: exit 1 if results changed

Quality is judged as in ``benchmarks.compare``, in both directions: an improvement nobody intended may be a
leaked label, and one that was intended deserves a new baseline. Changed settings or data make old numbers
incomparable and fail with the remedy. Speed only warns, and is compared as each method's time relative to
backprop in the same set of runs, since seconds differ between machines.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.cells import Cell
from benchmarks.cells_io import load, write_baseline
from benchmarks.compare.changes import BETTER, FAILING, Change, Comparison
from benchmarks.compare.judge import compare, of_profile
from benchmarks.compare.options import add_rules, report, rules_from
from benchmarks.compare.stats import Rules
from benchmarks.console import make_console

SETTINGS_CHANGED = "settings changed"
DATA_CHANGED = "data changed"
UNEXPECTED = "better than the baseline"
REMEDY = "rebuild the baseline with: make baseline"
#: A method's time relative to backprop may grow by this factor before a warning.
SLOWER = 1.25


def write(results: Path, profile: str, out: Path) -> int:
    """Write the baseline of ``profile`` from the results folder; returns the number of cells.

    Raises:
        ValueError: there is nothing to write, or a run is not ok: a baseline must not enshrine a failure.
    """
    cells = [cell for cell in _shipped(load(results).cells, profile) if not cell.skipped]
    if not cells:
        raise ValueError(f"{results}: no records of profile {profile}; run first: make bench-{profile}")
    bad = sorted({f"{cell.key.task} {cell.key.method}" for cell in cells if cell.primary and cell.n < cell.runs})
    if bad:
        raise ValueError(f"{results}: runs that are not ok: {', '.join(bad)}; mend them before writing a baseline")
    return write_baseline(cells, out)


def check(
    baseline: Iterable[Cell], current: Iterable[Cell], rules: Rules | None = None, allow_better: bool = False
) -> Comparison:
    """Judge ``current`` against ``baseline``; what fails is stricter than in a plain comparison."""
    baseline, current = list(baseline), list(current)
    found = compare(baseline, current, rules)
    failing = FAILING | {SETTINGS_CHANGED, DATA_CHANGED} | (frozenset() if allow_better else {UNEXPECTED})
    return Comparison([_stricter(change) for change in found.changes], relative_speed(baseline, current), failing)


def _stricter(change: Change) -> Change:
    before, after = change.before, change.after
    if before is None or after is None:
        return change
    # The hash covers the data too, so the more telling of the two comes first.
    if before.fingerprint != after.fingerprint and after.n:
        return dataclasses.replace(change, verdict=DATA_CHANGED, reason=REMEDY)
    if change.settings_differ:
        return dataclasses.replace(change, verdict=SETTINGS_CHANGED, reason=REMEDY)
    if change.verdict == BETTER:
        return dataclasses.replace(change, verdict=UNEXPECTED, reason=f"a leak, or progress? then {REMEDY}")
    return change


def relative_speed(before: Iterable[Cell], after: Iterable[Cell]) -> list[str]:
    """Methods whose time relative to backprop grew: geometric mean over the tasks that both sides have."""
    old, new = _times_bp(before), _times_bp(after)
    logs: dict[str, list[float]] = defaultdict(list)
    for task, method in sorted(old.keys() & new.keys()):
        logs[method].append(math.log(new[task, method] / old[task, method]))
    ratios = {method: math.exp(statistics.fmean(values)) for method, values in logs.items()}
    return [
        f"speed: {method} takes {ratio:.2f}× its former share of backprop's time ({len(logs[method])} tasks)"
        for method, ratio in ratios.items()
        if ratio > SLOWER
    ]


def _times_bp(cells: Iterable[Cell]) -> dict[tuple[str, str], float]:
    """Training time as a multiple of backprop's on the same task, for every other method."""
    seconds = {
        (cell.key.task, cell.key.method): cell.train_seconds
        for cell in cells
        if cell.primary and not cell.key.variant and cell.train_seconds > 0
    }
    return {
        (task, method): value / seconds[task, "bp"]
        for (task, method), value in seconds.items()
        if method != "bp" and (task, "bp") in seconds
    }


def _shipped(cells: Iterable[Cell], profile: str) -> list[Cell]:
    return [cell for cell in of_profile(cells, profile) if not cell.key.variant]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.baseline",
        description="Write the regression baseline, or check against it.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="write|check")
    for name, about in (("write", "write the baseline from records"), ("check", "compare records with it")):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--profile", default="smoke", help="whose records (default: smoke)")
        command.add_argument("--results", type=Path, default=Path("results"), help="results folder")
        command.add_argument("--out", type=Path, help="baseline file (default: results/baselines/PROFILE.json)")
        if name == "check":
            add_rules(command)
            command.add_argument("--allow-better", action="store_true", help="an improvement does not fail")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 fine, 1 changed, 2 bad input."""
    chosen = _parser().parse_args(arguments)
    file = chosen.out or chosen.results / "baselines" / f"{chosen.profile}.json"
    try:
        if chosen.command == "write":
            sys.stdout.write(f"{file}: {write(chosen.results, chosen.profile, file)} cells\n")
            return 0
        if not file.is_file():
            raise ValueError(f"{file}: there is no baseline; write one with: make baseline")
        baseline = _shipped(load(file).cells, chosen.profile)
        current = _shipped(load(chosen.results).cells, chosen.profile)
        found = check(baseline, current, rules_from(chosen), chosen.allow_better)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return report(found, make_console(), chosen, f"{file} → {chosen.results}")


if __name__ == "__main__":
    sys.exit(main())
