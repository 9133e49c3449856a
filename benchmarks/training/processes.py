"""One run in several processes: each takes a part of every batch, and all take the same step.

``torchrun --nproc-per-node=4 -m benchmarks.run …`` starts them. Every process has the whole model. Gradients are added
up once per step, behind the method and before the optimizer: whatever rule made them, they are sums over samples. So
cut graphs, replaced weights and sparse gradients need no wrapper around the model. Batch norm counts the samples of all
processes. The first process (the leader) evaluates, saves and records.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from benchmarks.settings.schema import HardwareConfig
from benchmarks.tasks.task import Task
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.torchrun import started_by_torchrun
from benchmarks.training.batch_norm import shared_statistics
from benchmarks.training.randomness import seed_everything
from dfa_core import FeedbackError, Method

T = TypeVar("T")

_PATIENCE = timedelta(hours=12)  # an evaluation of the leader may take long


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them; alone unless `joined` says otherwise."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that evaluates, saves and records."""
        return self.rank == 0

    def check(self, task: Task, method: Method, hardware: HardwareConfig) -> None:
        """Raise ValueError if the task's batches, or the method's signals, cannot be divided, or the step compiled."""
        if self.world == 1:
            return
        if hardware.compile:
            raise UsageError("hardware.compile=true: batch norm is shared in eager mode; run it in one process")
        if method.needs:
            raise FeedbackError(
                f"{type(method).__name__} needs the task's {', '.join(sorted(method.needs))} of a whole batch: "
                "run it in one process"
            )
        self.part(task, next(iter(task.batches(0))))

    def part(self, task: Task, batch: Any) -> tuple[Any, float]:
        """This process's part of a batch, and its share of the batch's samples.

        Raises:
            ValueError: there are fewer samples than processes, or the batch is one whole (a graph).
        """
        if self.world == 1:
            return batch, 1.0
        whole = task.samples(batch)
        if whole < self.world:
            raise ValueError(
                f"a batch of {whole} cannot be shared by {self.world} processes: start fewer, or choose a batch size "
                "that leaves no such rest"
            )
        part = task.part(batch, self.rank, self.world)
        return part, task.samples(part) / whole

    @contextmanager
    def in_step(self, model: nn.Module) -> Iterator[None]:
        """Let batch norm take its statistics from the parts of all processes, inside the block."""
        if self.world == 1:
            yield
            return
        with shared_statistics(model):
            yield

    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor, stop: bool) -> tuple[Tensor, bool]:
        """Replace every gradient by the sum over all processes; the loss's sum, and whether one of them has to stop."""
        if self.world == 1:
            return loss, stop
        sparse = [p for p in parameters if p.grad is not None and p.grad.is_sparse]
        dense = [p for p in parameters if p.grad is None or not p.grad.is_sparse]
        for p in sparse:
            assert p.grad is not None
            p.grad = self._sum_of_sparse(p.grad)
        # Which parameters have a gradient is added up too: a branch may have run in some processes only.
        told = [torch.tensor([float(stop), *(float(p.grad is not None) for p in dense)], device=loss.device)]
        flat = torch.cat([t.flatten().float() for t in (loss, *told, *map(_gradient_or_zeros, dense))])
        dist.all_reduce(flat)
        loss, rest = flat[0].clone(), flat[1:]
        stopped, *present = rest[: len(dense) + 1].tolist()
        _hand_out(dense, rest[len(dense) + 1 :], present)
        return loss, stopped > 0

    def from_leader(self, value: Callable[[], T]) -> T:
        """The leader's ``value()``, in every process."""
        if self.world == 1:
            return value()
        box = [value() if self.leads else None]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def of_each(self, value: T) -> list[T]:
        """The values of all processes, by rank, in every process."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def draw_apart(self, seed: int, step: int) -> None:
        """Random numbers of this process's own from here on, so that dropout masks of the parts are independent.

        The leader goes on with its own, as a single process would.
        """
        if not self.leads:
            seed_everything(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1)[0]))

    def _sum_of_sparse(self, gradient: Tensor) -> Tensor:
        """The sum of gradients whose rows differ: all of them, one behind the other."""
        own = gradient.coalesce()
        counts = [torch.empty(1, dtype=torch.int64, device=own.device) for _ in range(self.world)]
        dist.all_gather(counts, torch.tensor([own._nnz()], device=own.device))
        most = int(torch.stack(counts).max())
        indices = _gathered(_padded(own.indices().T, most), counts).T
        values = _gathered(_padded(own.values(), most), counts)
        return torch.sparse_coo_tensor(indices, values, own.shape, check_invariants=False).coalesce()


ALONE = Processes()


@cache
def joined(device: str) -> Processes:
    """The processes that torchrun started with this one, which it joins; alone where torchrun did not start it."""
    if not started_by_torchrun():
        return ALONE
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group({"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}[device], timeout=_PATIENCE)
    atexit.register(dist.destroy_process_group)  # whose threads would else end the interpreter with an abort
    return Processes(dist.get_rank(), dist.get_world_size())


def hardware_of(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of several processes for a record: their number, and a list for each of their figures."""
    if len(each) == 1:
        return {}
    return {"processes": len(each), "by_process": {key: [figures[key] for figures in each] for key in each[0]}}


def _gradient_or_zeros(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _hand_out(parameters: Sequence[nn.Parameter], flat: Tensor, present: Sequence[float]) -> None:
    for p, summed, count in zip(parameters, flat.split([p.numel() for p in parameters]), present, strict=True):
        p.grad = summed.view_as(p).to(p.dtype) if count else None


def _padded(rows: Tensor, length: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])]).contiguous()


def _gathered(rows: Tensor, counts: Sequence[Tensor]) -> Tensor:
    """The rows of all processes, of which each sent ``rows`` with a tail that does not count."""
    parts = [torch.empty_like(rows) for _ in counts]
    dist.all_gather(parts, rows)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])
