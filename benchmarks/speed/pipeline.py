"""A model over two processes: a backprop pipeline, PyTorch's own, beside one under DFA.

    python -m benchmarks.speed.pipeline [--depth 8] [--width 1024] [--rows 2048] [--micro-batches 4]

Each process has half of an MLP's blocks and one thread. Under backprop the first stage waits for the gradient of its
output, which comes down when the second stage's backward pass is through. Under DFA it waits for the error alone, which
the second stage sends on as soon as its forward pass is, before its own backward pass. Idle is the share of a step in
which a process does not compute. docs/scaling.md has the formulas.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from rich.table import Table
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe
from torch.nn import functional as F

from benchmarks.speed.options import write_timings
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser, positive
from benchmarks.terminal.console import make_console
from dfa_core import DFA, ErrorTap, FeedbackPoint, Pass

CLASSES = 10
STAGES = 2
WARM_UP = 2  # steps


@dataclass(frozen=True)
class Sizes:
    """The MLP, its batch, and into how many parts a step divides it."""

    depth: int
    width: int
    rows: int
    parts: int


@dataclass(frozen=True)
class Taken:
    """Seconds of each step in one process: on the wall, and of its processor."""

    wall: list[float]
    cpu: list[float]

    @property
    def idle(self) -> float:
        """The share of a step in which it waits, median."""
        return statistics.median(max(1 - cpu / wall, 0.0) for cpu, wall in zip(self.cpu, self.wall, strict=True))


class Stage(nn.Module):
    """Some blocks of the MLP; the last stage has the output layer, too."""

    def __init__(self, sizes: Sizes, rank: int, marked: bool) -> None:
        super().__init__()
        per_stage = sizes.depth // STAGES
        self.blocks = nn.Sequential()
        for number in range(rank * per_stage, (rank + 1) * per_stage):
            torch.manual_seed(number)  # the same weights however many processes there are
            self.blocks.append(nn.Linear(sizes.width, sizes.width))
            self.blocks.append(nn.ReLU())
            if marked:
                self.blocks.append(FeedbackPoint(sizes.width, name=f"block.{number}"))
        self.is_last = rank == STAGES - 1
        torch.manual_seed(sizes.depth)
        self.head = nn.Linear(sizes.width, CLASSES) if self.is_last else None
        self.tap = ErrorTap(CLASSES, name="output") if marked else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(rows, width)`` → the same, or in the last stage ``(rows, classes)``."""
        h: Tensor = self.blocks(x)
        return h if self.head is None else self.tap(self.head(h))


class SendsError(DFA):
    """DFA of the last stage: the error is sent down before the stage's own backward pass begins."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.on_their_way: list[tuple[dist.Work | None, Tensor]] = []

    def signals(self, forward_pass: Pass) -> Mapping[str, Tensor | None]:
        # Not to be waited for here: the first stage may still be at its forward passes.
        error = forward_pass.error.contiguous()
        self.on_their_way.append((dist.isend(error, 0), error))
        return super().signals(forward_pass)

    def arrived(self) -> None:
        """Wait for what was sent."""
        _wait_for(self.on_their_way)
        self.on_their_way.clear()


def dfa_step(stage: Stage, method: DFA, x: Tensor, y: Tensor, parts: int) -> None:
    """Gradients of a batch by both stages' calls of this, exactly those of `DFA` in one process."""
    if stage.is_last:
        for labels in y.chunk(parts):
            h = torch.empty(len(labels), x.shape[1])
            dist.recv(h, 0)
            method.backward(F.cross_entropy(stage(h), labels) / parts)
        if isinstance(method, SendsError):
            method.arrived()
        return
    outputs, sent = [], []
    for part in x.chunk(parts):
        h = stage(part)
        # Stands for the network's output, which is elsewhere: its gradient will be the error that is sent down.
        outputs.append(stage.tap(h.new_zeros(len(h), CLASSES)))
        sent.append((dist.isend(h, 1), h))
    for output in outputs:
        error = torch.empty_like(output)
        dist.recv(error, 1)
        method.backward((output * error).sum())
    _wait_for(sent)


def _wait_for(sent: Sequence[tuple[dist.Work | None, Tensor]]) -> None:
    for work, _ in sent:
        if work is not None:
            work.wait()


def step_of(form: str, sizes: Sizes, rank: int, x: Tensor, y: Tensor) -> tuple[Stage, Callable[[], None]]:
    """This process's stage, and the function that computes its gradients of one batch."""
    stage = Stage(sizes, rank, marked=form == "dfa")
    if form == "dfa":
        method = (SendsError if stage.is_last else DFA)(stage)
        return stage, lambda: dfa_step(stage, method, x, y, sizes.parts)
    kind = {"bp, GPipe": ScheduleGPipe, "bp, 1F1B": Schedule1F1B}[form]
    piped = PipelineStage(stage, rank, STAGES, torch.device("cpu"))
    schedule = kind(piped, n_microbatches=sizes.parts, loss_fn=F.cross_entropy)
    return stage, (lambda: schedule.step(target=y)) if stage.is_last else (lambda: schedule.step(x))


FORMS = ("bp, GPipe", "bp, 1F1B", "dfa")


def run(rank: int, meeting: str, sizes: Sizes, steps: int) -> dict[str, Taken]:
    """One process: every form, step by step in turn."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=STAGES)
    try:
        torch.manual_seed(0)
        x, y = torch.randn(sizes.rows, sizes.width), torch.randint(CLASSES, (sizes.rows,))
        made = {form: step_of(form, sizes, rank, x, y) for form in FORMS}
        optimizers = {form: torch.optim.SGD(stage.parameters(), lr=0.01) for form, (stage, _) in made.items()}
        taken: dict[str, list[tuple[float, float]]] = {form: [] for form in FORMS}
        for _ in range(WARM_UP + steps):
            for form, (_, gradients) in made.items():
                dist.barrier()
                wall, cpu = time.perf_counter(), time.process_time()
                optimizers[form].zero_grad()
                gradients()
                optimizers[form].step()
                taken[form].append((time.perf_counter() - wall, time.process_time() - cpu))
        return {form: Taken(*map(list, zip(*times[WARM_UP:], strict=True))) for form, times in taken.items()}
    finally:
        dist.destroy_process_group()


def measure(sizes: Sizes, steps: int) -> list[dict[str, Taken]]:
    """Each process's seconds, by form."""
    context = multiprocessing.get_context("forkserver")
    with tempfile.TemporaryDirectory() as place, ProcessPoolExecutor(STAGES, mp_context=context) as pool:
        meeting = str(Path(place) / "meeting")
        return [one.result() for one in [pool.submit(run, rank, meeting, sizes, steps) for rank in range(STAGES)]]


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _arguments(arguments)
    sizes = Sizes(options.depth, options.width, options.rows, options.micro_batches)
    found = measure(sizes, options.repeats)
    title = f"{sizes.depth} blocks of {sizes.width}, {sizes.rows} rows in {sizes.parts} parts, 2 processes"
    table = Table("pipeline", "step ms", "÷ 1F1B", "idle, stage 1", "idle, stage 2", "MB up", "MB down", title=title)
    for form in FORMS:
        wall = [max(pair) for pair in zip(*(one[form].wall for one in found), strict=True)]
        reference = [max(pair) for pair in zip(*(one["bp, 1F1B"].wall for one in found), strict=True)]
        ratio = statistics.median(a / b for a, b in zip(wall, reference, strict=True))
        down = CLASSES if form == "dfa" else sizes.width
        table.add_row(
            form, f"{1000 * statistics.median(wall):.0f}", f"{ratio:.2f}", *(f"{one[form].idle:.0%}" for one in found),
            f"{4e-6 * sizes.rows * sizes.width:.2f}", f"{4e-6 * sizes.rows * down:.2f}",
        )  # fmt: skip
    make_console().print(table)
    seconds = [{form: vars(taken) for form, taken in one.items()} for one in found]
    write_timings(options, "pipeline", {"stages": seconds})
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.speed.pipeline", description=(__doc__ or "").split("\n\n")[0])
    for name, default in (("depth", 8), ("width", 1024), ("rows", 2048), ("micro-batches", 4), ("repeats", 10)):
        parser.add_argument(f"--{name}", type=positive, default=default, help=f"default: {default}")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write every timing there")
    options = parser.parse_args(arguments)
    if options.depth % STAGES or options.rows % options.micro_batches:
        parser.error("--depth must be even, and --rows a multiple of --micro-batches")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"argument --json: there is no folder {options.json.parent}")
    return options


if __name__ == "__main__":
    sys.exit(main())
