"""Step time and peak memory of every method on a deep MLP, as ratios to backprop.

    python -m benchmarks.speed.methods                         24 blocks of width 512, batch 4096
    python -m benchmarks.speed.methods --methods bp,local      some methods; dfa+recompute: with that setting

Steps of all methods take turns in one process, on one batch. Memory is the high-water mark of a process of its own with
one method, above the mark before its first step.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.catalogue.methods import known_methods
from benchmarks.speed.options import add_machine_options, parse, where, write_timings
from benchmarks.speed.rounds import in_own_process, peak_megabytes, time_in_turn, warm_up
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.terminal.errors import nearest
from benchmarks.training.machine import tune_process
from dfa_core import Classes, ErrorTap, FeedbackPoint, Method, Residual, Supervision, make_method

CLASSES = 10
_WITHOUT = ("shallow",)  # a step of it computes something else
_RECOMPUTING = "+recompute"  # behind the name of a method that has the setting


class Block(nn.Module):
    """A layer of the MLP, ``(batch, width)`` → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear, self.point = nn.Linear(width, width), FeedbackPoint(width, structure=Residual())

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.point(x + F.gelu(self.linear(x)))
        return hidden


class Stepper:
    """Training steps of one method on one batch."""

    def __init__(self, name: str, depth: int, width: int, rows: int) -> None:
        torch.manual_seed(0)
        head = nn.Linear(width, CLASSES)
        self.model = nn.Sequential(*(Block(width) for _ in range(depth)), ErrorTap(width), head)
        self.x, self.y = torch.randn(rows, width), torch.randint(CLASSES, (rows,))
        method, recompute, _ = name.partition(_RECOMPUTING)
        options = {"recompute": True} if recompute else {}
        self.method: Method = make_method(method, self.model, **options)
        groups = [{"params": list(self.model.parameters())}, *self.method.parameter_groups()]
        self.optimizer = torch.optim.SGD(groups, lr=1e-3)
        self.supervision = Supervision(
            head=lambda tap, output: F.cross_entropy(F.linear(output, head.weight.detach()), self.y),
            targets=lambda tap: Classes(self.y, CLASSES),
        )

    def step(self) -> None:
        """One step of the optimizer."""
        self.optimizer.zero_grad(set_to_none=True)
        self.method.step(lambda: F.cross_entropy(self.model(self.x), self.y), self.supervision)
        self.optimizer.step()


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = Parser(prog="python -m benchmarks.speed.methods", description=(__doc__ or "").split("\n\n")[0])
    for name, default in (("depth", 24), ("width", 512), ("rows", 4096)):
        parser.add_argument(f"--{name}", type=positive, default=default, help=f"default: {default}")
    parser.add_argument("--methods", default="", help="names, comma between (default: all)")
    add_machine_options(parser, repeats=5)
    options = parse(parser, arguments)
    sizes = (options.depth, options.width, options.rows)
    forms = _forms()
    asked = [name for name in options.methods.split(",") if name] or forms
    for name in asked:
        if name not in forms:
            parser.error(f"argument --methods: '{name}': did you mean {nearest(name, forms)}?")
    asked = ["bp", *(name for name in asked if name != "bp")]
    tune_process(options.threads)
    steps = {name: Stepper(name, *sizes).step for name in asked}
    for step in steps.values():
        warm_up(step)
    timings = time_in_turn(steps, options.repeats, "cpu")
    del steps, step
    megabytes = {name: in_own_process(peak, name, options.threads, sizes) for name in asked}
    table = Table("method", "step ms", "÷ bp", "peak MB", "÷ bp", title=f"MLP {sizes[0]}×{sizes[1]}, {where(options)}")
    for name, timing in timings.items():
        table.add_row(
            name,
            f"{1000 * statistics.median(timing.wall):.0f}",
            f"{timing.ratio_to(timings['bp'])[0]:.2f}",
            f"{megabytes[name]:.0f}",
            f"{megabytes[name] / megabytes['bp']:.2f}",
        )
    make_console().print(table)
    seconds = {name: timing.wall for name, timing in timings.items()}
    write_timings(options, "methods", {"seconds": seconds, "megabytes": megabytes})
    return 0


def _forms() -> list[str]:
    """All methods, and those that can recompute a second time."""
    names = [name for name in known_methods() if name not in _WITHOUT]
    return [form for n in names for form in ([n, n + _RECOMPUTING] if n in ("dfa", "structural") else [n])]


def peak(name: str, threads: int, sizes: tuple[int, int, int]) -> float:
    """Megabytes that two steps take at most, beyond what the process has before."""
    torch.set_num_threads(threads)
    return peak_megabytes(Stepper(name, *sizes).step)


if __name__ == "__main__":
    sys.exit(main())
