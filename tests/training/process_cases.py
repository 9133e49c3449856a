"""What the tests of several processes compare: a few steps of real tasks, in one process of several or alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.loop import Loop
from benchmarks.training.processes import ALONE, Processes
from dfa_core import ErrorTap, FeedbackError, FeedbackPoint
from tests.helpers.runs import build
from tests.helpers.toy_task import StopAt, Toy, make_loop, settings

_PLAIN = ("task.model.dropout=0", "task.model.attention_dropout=0")
#: Batch norm and sparse gradients, a vocabulary's loss, batch norm in convolutions, a stack of networks, bf16.
CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "clicks dfa": ("", "dfa", ()),
    "transformer bp, clipped": ("wikitext2/macro", "bp", (*_PLAIN, "task.optim.clip_norm=0.1")),
    "transformer structural, bf16": ("wikitext2/macro", "structural", (*_PLAIN, "hardware.precision=bf16")),
    "resnet bp": ("cifar10/resnet", "bp", ()),
    "mlp fa": ("mnist/mlp", "fa", ("task.model.dropout=0",)),
    "seeds dfa": ("mnist/mlp_seeds", "dfa", ()),
}
#: Cases by number of processes.
WORLDS = {2: tuple(CASES), 4: ("clicks dfa", "seeds dfa")}
STEPS = 3
RESUMED = "seeds dfa"  # the case that goes on from a checkpoint
#: One line each: what methods cannot do in several processes.
REFUSED: dict[str, tuple[str, str, str]] = {
    "a mean over the batch": ("method.center=true", "dfa", "whole batch"),
    "learned feedback": ("", "dkp", "nothing keeps equal"),
    "several passes": ("", "mezo", "spread over processes"),
}


class _Clicks(nn.Module):
    """A table with sparse gradients, batch norm, and a feedback point between."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 4, sparse=True)
        self.hidden, self.norm = nn.Linear(12, 8, bias=False), nn.BatchNorm1d(8)
        self.point, self.output, self.tap = FeedbackPoint(8), nn.Linear(8, 1), ErrorTap(1)

    def forward(self, ids: Tensor) -> Tensor:
        hidden: Tensor = self.point(torch.relu(self.norm(self.hidden(self.table(ids).flatten(1)))))
        return self.tap(self.output(hidden)).squeeze(1)


class Clicks(Toy):
    """Three fields of a few rows; a batch is of ids and labels, seven of them: parts differ in size."""

    def __init__(self) -> None:
        super().__init__()
        self.model = _Clicks()
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(50, (28, 3), generator=generator)
        self.labels = torch.rand(28, generator=generator).round()

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self.ids.split(7)[start:], self.labels.split(7)[start:], strict=True)

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.model(batch[0]), batch[1])

    def samples(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[1])


def loop_of(name: str, processes: Processes = ALONE) -> Loop:
    """The loop of a case, before its first step."""
    task, method, overrides = CASES[name]
    if not task:
        return make_loop(method, settings(), Clicks, processes=processes)
    run = build(task, method, *overrides)
    return Loop(run.task, run.method, run.config.task, run.config.hardware, processes=processes)


def steps(name: str, processes: Processes = ALONE) -> dict[str, Any]:
    """Losses, the first gradients, and the weights after some steps of a case."""
    loop = loop_of(name, processes)
    batches = islice((batch for epoch in range(STEPS) for batch in loop.task.batches(epoch)), STEPS)
    losses: list[float] = []
    for batch in batches:
        losses.append(float(loop.gradients(batch)))
        if len(losses) == 1:
            found = ((n, p.grad) for n, p in loop.task.model.named_parameters() if p.grad is not None)
            gradients = {n: gradient.to_dense().clone() for n, gradient in found}
        loop.update()
    return {"losses": losses, "gradients": gradients, "state": loop.task.model.state_dict()}


def go_on(name: str, path: Path, processes: Processes = ALONE) -> dict[str, torch.Tensor]:
    """The weights after one more step from a checkpoint, which another number of processes may have saved."""
    loop = loop_of(name, processes)
    assert Checkpoint(path).restore(loop)
    loop.step(next(iter(loop.task.batches(1))))
    return loop.task.model.state_dict()


def refusal(name: str, processes: Processes) -> str:
    """The line with which a case is refused."""
    override, method, _ = REFUSED[name]
    try:
        run = build("mnist/mlp", method, *([override] if override else []))
        processes.check(run.task, run.method)
    except (ValueError, FeedbackError) as error:
        return str(error)
    return ""


def stopped_together(processes: Processes) -> int:
    """The step at which a run ends when the last process alone is asked to stop after the third."""
    stop = StopAt(3) if processes.rank == processes.world - 1 else StopAt()
    loop = make_loop("dfa", settings(), stop_requested=stop, processes=processes)
    stop.loop = loop
    try:
        loop.run()
    except Interrupted:
        return loop.progress.step
    return -1


def process(rank: int, world: int, folder: str) -> None:
    """One of the processes: all cases, one after another; the results go into a file."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", world)
    dist.init_process_group("gloo", rank=rank, world_size=world, store=store)
    processes = Processes(rank, world)
    found: dict[str, Any] = {name: steps(name, processes) for name in WORLDS[world]}
    found["resumed"] = go_on(RESUMED, Path(folder).parent / "checkpoint.pt", processes)
    found |= {name: refusal(name, processes) for name in REFUSED}
    found["stopped at"] = stopped_together(processes)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
