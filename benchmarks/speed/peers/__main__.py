"""Time our training steps under backprop beside those of other libraries, on the same work.

    python -m benchmarks.speed.peers [--peers gcn,gpt2] [--out FILE.csv]

Both take turns in one process: the same sizes, data and optimizer (PyTorch's fused Adam), ratios paired round by round.
PyG is installed anyway; the others are left out where they are missing, with a line that says how to get them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.options import add_machine_options, parse
from benchmarks.speed.peers import graphs, others
from benchmarks.speed.peers.training import Pair
from benchmarks.speed.rounds import time_in_turn, warm_up
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import tune_process

_ROUNDS = 40


@dataclass(frozen=True)
class Peer:
    """Another implementation: the distribution that holds it, what both do, and the two steps."""

    package: str
    work: str
    pair: Callable[[HardwareConfig], Pair]


@dataclass(frozen=True)
class Row:
    """A line of the table: times of a step, their ratio paired round by round, and its 95% interval."""

    peer: str
    package: str
    work: str
    threads: int
    ours_ms: float
    theirs_ms: float
    ratio: float
    low: float
    high: float


PEERS = {
    **{task.split("/")[1].split("_")[0]: Peer("torch-geometric", task, pair) for task, pair in graphs.GRAPHS.items()},
    "gpt2": Peer("transformers", "wikitext2/macro", others.language),
    "deepfm": Peer("deepctr-torch", "criteo/deepfm", others.recommender),
    "nerf": Peer("nerf-pytorch", "a radiance field", others.radiance_field),
}


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit status."""
    options = _arguments(arguments)
    tune_process(options.threads)
    console = make_console(soft_wrap=True)
    rows = []
    for name in options.peers:
        peer = PEERS[name]
        try:
            rows.append(_measured(name, peer, options))
        except ModuleNotFoundError:
            console.print(
                f"{name}: left out, since {peer.package} is missing: pip install {peer.package}", markup=False
            )
    if not rows:
        guard.fail("no peer is installed")
    _show(rows, console)
    if options.out:
        pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.4g")
    return 0


def _measured(name: str, peer: Peer, options: argparse.Namespace) -> Row:
    hardware = HardwareConfig(options.device, options.precision, options.threads)
    pair = peer.pair(hardware)
    steps = {"ours": pair.ours, "theirs": pair.theirs}
    for step in steps.values():
        warm_up(step)
    timings = time_in_turn(steps, options.repeats, options.device, options.seconds)
    ours, theirs = timings["ours"], timings["theirs"]
    low, high = ours.interval_to(theirs)
    package = f"{peer.package} {importlib.metadata.version(peer.package)}"
    mine, its = (1000 * statistics.median(timing.wall) for timing in (ours, theirs))
    return Row(name, package, peer.work, options.threads, mine, its, ours.ratio_to(theirs)[0], low, high)


def _show(rows: Sequence[Row], console: Console) -> None:
    table = Table(title="A training step under backprop, ours beside a peer's")
    for column in ("peer", "package", "work"):
        table.add_column(column)
    for column in ("ours, ms", "theirs, ms", "ours ÷ theirs", "interval"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.peer, row.package, row.work, f"{row.ours_ms:.1f}", f"{row.theirs_ms:.1f}", f"{row.ratio:.2f}",
            f"{row.low:.2f}–{row.high:.2f}",
        )  # fmt: skip
    console.print(table)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed.peers", description="Our steps beside other libraries'.")
    parser.add_argument("--peers", default="", help=f"comma between, of {', '.join(PEERS)}; default: all")
    parser.add_argument("--seconds", type=float, default=10.0, help="of timing a peer, six rounds at least (10)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a CSV")
    add_machine_options(parser, repeats=_ROUNDS)
    options = parse(parser, arguments)
    options.peers = [name for name in options.peers.split(",") if name] or list(PEERS)
    if unknown := [name for name in options.peers if name not in PEERS]:
        parser.error(f"argument --peers: {unknown[0]} is none; choose of {', '.join(PEERS)}")
    if options.out and not options.out.parent.is_dir():
        parser.error(f"argument --out: there is no folder {options.out.parent}")
    return options


if __name__ == "__main__":
    sys.exit(main())
