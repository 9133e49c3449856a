"""The regression gate's commands: write a baseline from smoke records, and check later records against it.

    python -m benchmarks.baseline write     make baseline: results/published/baselines/smoke.json, a line of its history
    python -m benchmarks.baseline check     make regression: exit 1 if results changed

What fails is decided in ``benchmarks.compare.gate``. ``check --seeds 10,11,12`` says that the records were made with
these seeds and not with the baseline's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.compare import gate
from benchmarks.compare.judge import of_profile
from benchmarks.compare.options import add_rules, report, rules_from
from benchmarks.compare.reproduction import THINNED, with_mean_losses
from benchmarks.history.baseline_snapshot import snapshot_of
from benchmarks.history.file import with_snapshot
from benchmarks.history.file import write as write_history
from benchmarks.records import paths
from benchmarks.records.baseline_file import load, write_baseline
from benchmarks.records.cells import ResultCell
from benchmarks.records.inputs import LeftOut
from benchmarks.records.result_set import ResultSet
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, parse_seeds, profile
from benchmarks.terminal.console import make_console
from benchmarks.terminal.names import inside


def write(results: Path, profile: str, out: Path, history: Path) -> int:
    """Write the baseline of ``profile`` from the results folder and note it in the history; returns the cells.

    Raises:
        ValueError: there is nothing to write, an input is not readable, or a run is not ok: a baseline must not
            keep a failure, nor have a gap.
    """
    found = ResultSet.load(results)
    cells = [cell for cell in shipped(with_mean_losses(found), profile) if not cell.skipped and cell.reason != THINNED]
    if not cells:
        raise ValueError(f"{results}: no records of profile {profile}; run first: make bench-{profile}")
    bad = sorted({f"{cell.key.task} {cell.key.method}" for cell in cells if cell.primary and cell.n < cell.runs})
    if bad:
        raise ValueError(f"{results}: runs that are not ok: {', '.join(bad)}; repair them before writing a baseline")
    snapshot = snapshot_of(cells, found.select([profile], variants=False).records)
    lines = with_snapshot(history, snapshot)  # reads the former lines, and refuses bad ones before anything is written
    count = write_baseline(cells, out)
    write_history(history, lines)
    return count


def shipped(cells: Iterable[ResultCell], profile: str) -> list[ResultCell]:
    """The cells of one profile under the settings it ships with: what a baseline holds."""
    return [cell for cell in of_profile(cells, profile) if not cell.key.variant]


def _check(chosen: argparse.Namespace, file: Path, left_out: LeftOut) -> int:
    if not file.is_file():
        raise ValueError(f"{file}: there is no baseline; write one with: make baseline")
    rules, seeds = rules_from(chosen), parse_seeds(chosen.seeds) if chosen.seeds else None
    baseline = shipped(load(file).cells, chosen.profile)
    if not baseline:  # against nothing everything passes
        raise ValueError(f"{file}: no cells of profile {chosen.profile}; name another --profile or --out")
    current = shipped(with_mean_losses(ResultSet.load(chosen.results, left_out.add)), chosen.profile)
    if not current:
        raise ValueError(f"{chosen.results}: no records of profile {chosen.profile}; run first: make regression")
    found = gate.check(baseline, current, rules, chosen.allow_better, seeds)
    return report(found, make_console(), chosen, f"{file} → {chosen.results}", whole=not left_out)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks.baseline",
        description="Write the regression baseline, or check against it.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="write|check")
    for name, about in (("write", "write the baseline from records"), ("check", "compare records with it")):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--profile", type=profile, default="smoke", help="whose records (default: smoke)")
        command.add_argument("--results", type=Path, default=Path("results"), help="results folder")
        command.add_argument("--out", type=Path, help="baseline file (default: RESULTS/published/baselines/…)")
        if name == "write":
            command.add_argument("--history", type=Path, help="its file (default: RESULTS/published/history/…)")
        else:
            add_rules(command)
            command.add_argument("--seeds", default="", help="a count or a list: of the records (default: as baseline)")
            command.add_argument("--allow-better", action="store_true", help="an improvement does not fail")
    return parser


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 fine, 1 changed, 2 bad input."""
    chosen = _parser().parse_args(arguments)
    results = chosen.results
    try:
        with LeftOut() as left_out:
            file = chosen.out or inside(results, paths.baseline(results, chosen.profile))
            if chosen.command == "check":
                return _check(chosen, file, left_out)
            history = chosen.history or inside(results, paths.history(results, chosen.profile))
            count = write(results, chosen.profile, file, history)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{file}: {count} cells; {history}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
