"""Step time and peak memory of every method on a deep MLP, as ratios to backprop.

    python -m benchmarks.speed.methods                         24 blocks of width 512, batch 4096
    python -m benchmarks.speed.methods --methods bp,local      some methods; dfa+recompute: with that setting

Steps of all methods take turns in one process, on one batch. Memory is the high-water mark of a process of its own with
one method, above the mark before its first step.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.catalogue.methods import known_methods
from benchmarks.speed.options import add_machine_options, parse, where, write_timings
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from benchmarks.training.machine import PeakMemory, tune_process
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
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = Parser(prog="python -m benchmarks.speed.methods", description=(__doc__ or "").split("\n\n")[0])
    for name, default in (("depth", 24), ("width", 512), ("rows", 4096)):
        parser.add_argument(f"--{name}", type=positive, default=default, help=f"default: {default}")
    parser.add_argument("--methods", default="", help="names, comma between (default: all)")
    parser.add_argument("--memory-of", default="", help="print the megabytes of this method's steps, and nothing else")
    add_machine_options(parser, repeats=5)
    options = parse(parser, arguments)
    sizes = (options.depth, options.width, options.rows)
    if options.memory_of:
        torch.set_num_threads(options.threads)
        sys.stdout.write(f"{_memory(Stepper(options.memory_of, *sizes)):.1f}\n")
        return
    tune_process(options.threads)
    names = [name for name in options.methods.split(",") if name] or _all_forms()
    names = ["bp", *(name for name in names if name != "bp")]
    seconds = _seconds({name: Stepper(name, *sizes) for name in names}, options.repeats)
    megabytes = {name: _memory_apart(name, options.threads, sizes) for name in names}
    ratios = {n: statistics.median(a / b for a, b in zip(seconds[n], seconds["bp"], strict=True)) for n in names}
    table = Table("method", "step ms", "÷ bp", "peak MB", "÷ bp", title=f"MLP {sizes[0]}×{sizes[1]}, {where(options)}")
    for name in names:
        table.add_row(
            name,
            f"{1000 * statistics.median(seconds[name]):.0f}",
            f"{ratios[name]:.2f}",
            f"{megabytes[name]:.0f}",
            f"{megabytes[name] / megabytes['bp']:.2f}",
        )
    make_console().print(table)
    write_timings(options, "methods", {"seconds": seconds, "megabytes": megabytes, "ratios": ratios})


def _all_forms() -> list[str]:
    names = [name for name in known_methods() if name not in _WITHOUT]
    return [form for n in names for form in ([n, n + _RECOMPUTING] if n in ("dfa", "structural") else [n])]


def _seconds(steppers: dict[str, Stepper], repeats: int) -> dict[str, list[float]]:
    """Seconds of a step, round by round; the first round warms up."""
    found: dict[str, list[float]] = {name: [] for name in steppers}
    for round_ in range(repeats + 1):
        for name, stepper in steppers.items():
            started = time.perf_counter()
            stepper.step()
            if round_:
                found[name].append(time.perf_counter() - started)
    return found


def _memory(stepper: Stepper) -> float:
    """Megabytes that two steps take at most, beyond what the process has before."""
    before = PeakMemory(torch.device("cpu")).megabytes()
    peak = PeakMemory(torch.device("cpu"))
    for _ in range(2):
        stepper.step()
    return peak.megabytes() - before


def _memory_apart(name: str, threads: int, sizes: tuple[int, int, int]) -> float:
    depth, width, rows = map(str, sizes)
    command = [sys.executable, "-m", "benchmarks.speed.methods", "--memory-of", name, "--threads", str(threads)]
    command += ["--depth", depth, "--width", width, "--rows", rows]
    # Every tensor is given back to the system when it is freed: what fragments is the allocator's, not the method's.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


if __name__ == "__main__":
    main()
