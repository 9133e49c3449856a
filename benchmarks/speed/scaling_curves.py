"""How the cost of DFA relative to backprop changes with the size of an MLP: width, depth, batch, points, classes.

    python -m benchmarks.speed.scaling_curves [--axes width depth …] [--out FOLDER]

From a middle size each axis is varied alone. Forms take turns, ratios are paired round by round, and the limit is the
ratio of the products that both run. Writes ``scaling.csv`` and a figure for each axis.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.curves.chart import Chart, Panel, Series
from benchmarks.curves.draw import svg
from benchmarks.records.record import write_atomically
from benchmarks.speed.forms import FORMS
from benchmarks.speed.products import products
from benchmarks.speed.rounds import in_own_process, peak_megabytes, time_in_turn, warm_up
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import tune_process
from dfa_core import ErrorTap, FeedbackPoint

TIMED = ("bp", "dfa")
WEIGHED = ("bp", "dfa", "dfa, recomputing", "bp_recompute")


@dataclass(frozen=True)
class Size:
    """An MLP and its batch: ``points`` feedback points, evenly spaced over ``depth`` layers."""

    width: int = 512
    depth: int = 8
    rows: int = 1024
    points: int = 8
    classes: int = 10


#: The sizes of each axis; where the depth varies, every layer has a point.
AXES = {
    "width": [Size(width=width) for width in (64, 128, 256, 512, 1024, 2048)],
    "depth": [Size(depth=depth, points=depth) for depth in (2, 4, 8, 16, 32)],
    "rows": [Size(rows=rows) for rows in (64, 256, 1024, 4096)],
    "points": [Size(points=points) for points in (1, 2, 4, 8)],
    "classes": [Size(classes=classes) for classes in (10, 100, 1000, 10_000)],
}
_LABELS = {
    "width": "width of a layer",
    "depth": "layers, each with a feedback point",
    "rows": "samples in a batch",
    "points": "feedback points over eight layers",
    "classes": "classes, the width of the error",
}


@dataclass(frozen=True)
class Measured:
    """One size on one axis; memory in MB beyond the model, NaN if it was not asked for."""

    axis: str
    value: int
    bp_ms: float
    ratio: float
    low: float
    high: float
    product_limit: float
    bp_mb: float = math.nan
    dfa_mb: float = math.nan
    dfa_recomputing_mb: float = math.nan
    bp_recompute_mb: float = math.nan


class Stepper:
    """Training steps of one form on one batch, by SGD."""

    def __init__(self, form: str, size: Size) -> None:
        torch.manual_seed(0)
        per_point = size.depth // size.points
        layers = [nn.Sequential(nn.Linear(size.width, size.width), nn.ReLU()) for _ in range(size.depth)]
        blocks = [
            nn.Sequential(*layers[n * per_point : (n + 1) * per_point], FeedbackPoint(size.width))
            for n in range(size.points)
        ]
        self.model = nn.Sequential(*blocks, nn.Linear(size.width, size.classes), ErrorTap(size.classes))
        self.x, self.y = torch.randn(size.rows, size.width), torch.randint(size.classes, (size.rows,))
        self.method = FORMS[form](self.model)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)

    def loss(self) -> Tensor:
        return F.cross_entropy(self.model(self.x), self.y)

    def step(self) -> None:
        """One step of the optimizer."""
        self.optimizer.zero_grad()
        self.method.step(self.loss)
        self.optimizer.step()


def measured(axis: str, size: Size, options: argparse.Namespace) -> Measured:
    """Time, limit and memory of one size."""
    steppers = {form: Stepper(form, size) for form in TIMED}
    for stepper in steppers.values():
        warm_up(stepper.step)
    counted = {form: products(stepper.step) for form, stepper in steppers.items()}
    steps = {form: stepper.step for form, stepper in steppers.items()}
    timings = time_in_turn(steps, options.repeats, "cpu", options.seconds)
    low, high = timings["dfa"].interval_to(timings["bp"])
    milliseconds = 1000 * float(np.median(timings["bp"].wall))
    ratio = timings["dfa"].ratio_to(timings["bp"])[0]
    limit = counted["dfa"] / counted["bp"]
    found = Measured(axis, getattr(size, axis), milliseconds, ratio, low, high, limit)
    if options.no_memory:
        return found
    bp, dfa, recomputing, bp_recompute = (in_own_process(peak, form, size) for form in WEIGHED)
    return replace(found, bp_mb=bp, dfa_mb=dfa, dfa_recomputing_mb=recomputing, bp_recompute_mb=bp_recompute)


def peak(form: str, size: Size) -> float:
    """Megabytes that two steps take at most beyond the model."""
    torch.set_num_threads(1)
    return peak_megabytes(Stepper(form, size).step)


def charts(rows: Sequence[Measured]) -> list[Chart]:
    """A figure for each axis: time beside the limit, and memory."""
    found = []
    for axis in dict.fromkeys(row.axis for row in rows):
        frame = pd.DataFrame([asdict(row) for row in rows if row.axis == axis])
        x = frame.value.to_numpy()
        time = (
            _series("dfa", "dfa", x, frame.ratio, frame.low, frame.high),
            _series("limit", "limit of the products", x, frame.product_limit),
        )
        panels = [Panel("time", "step time", "÷ backprop", time)]
        if frame.bp_mb.notna().all():
            names = {"dfa_mb": "dfa", "dfa_recomputing_mb": "dfa, recomputing", "bp_recompute_mb": "bp, recomputing"}
            memory = tuple(_series(name, name, x, frame[column] / frame.bp_mb) for column, name in names.items())
            panels.append(Panel("memory", "peak memory", "÷ backprop", memory))
        title = f"DFA's cost relative to backprop: {axis}"
        subtitle = "an MLP of 8 layers of width 512, 1,024 samples, 10 classes, but for what varies"
        chart = Chart(f"scaling_{axis}", title, subtitle, _LABELS[axis], tuple(panels), marked=True, logarithmic=True)
        found.append(chart)
    return found


def _series(
    name: str, label: str, x: np.ndarray, mean: pd.Series, low: pd.Series | None = None, high: pd.Series | None = None
) -> Series:
    y = mean.to_numpy()
    bounds = (y, y) if low is None or high is None else (low.to_numpy(), high.to_numpy())
    return Series(name, label, x, y, *bounds, seeds=1 if low is None else 2)


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _arguments(arguments)
    tune_process(options.threads)
    console = make_console()
    rows = [measured(axis, size, options) for axis in options.axes for size in AXES[axis]]
    title = f"threads: {options.threads}"
    table = Table("axis", "size", "bp ms", "÷ bp", "interval", "limit", "dfa MB ÷ bp", title=title)
    for row in rows:
        memory = "–" if math.isnan(row.bp_mb) else f"{row.dfa_mb / row.bp_mb:.2f}"
        table.add_row(
            row.axis, str(row.value), f"{row.bp_ms:.1f}", f"{row.ratio:.2f}", f"{row.low:.2f}–{row.high:.2f}",
            f"{row.product_limit:.2f}", memory,
        )  # fmt: skip
    console.print(table)
    if options.out:
        frame = pd.DataFrame([asdict(row) for row in rows])
        write_atomically(options.out / "scaling.csv", frame.to_csv(index=False, float_format="%.4g"))
        for chart in charts(rows):
            write_atomically(options.out / f"{chart.name}.svg", svg(chart))
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed.scaling_curves", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--axes", nargs="*", choices=tuple(AXES), default=list(AXES), help="default: all")
    parser.add_argument("--seconds", type=float, default=3.0, help="of timing a size, six rounds at least (3)")
    parser.add_argument("--no-memory", action="store_true", help="time alone")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the table and the figures there")
    parser.add_argument("--repeats", type=positive, default=40, metavar="N", help="timed rounds at most (40)")
    parser.add_argument("--threads", type=positive, default=2, metavar="N", help="threads of PyTorch (2)")
    options = parser.parse_args(arguments)
    if options.out and not options.out.is_dir():
        parser.error(f"argument --out: there is no folder {options.out}")
    return options


if __name__ == "__main__":
    sys.exit(main())
