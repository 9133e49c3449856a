"""A task of many small batches for the loop's tests: shuffled, with dropout, validated on held-out rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.records.run_history import Row
from benchmarks.settings.schema import HardwareConfig, OptimConfig, TaskConfig
from benchmarks.tasks.task import Task
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.loop import Loop
from benchmarks.training.processes import ALONE, Processes
from benchmarks.training.randomness import seed_everything
from dfa_core import make_method
from tests.helpers.engine_nets import Net

BATCHES = 6


class Toy(Task):
    """Regression of a random map on 48 rows, in six shuffled batches of eight."""

    selection = "valid_loss"

    def __init__(self, seed: int = 0, dropout: float = 0.3) -> None:
        self.model = Net(5, 12, 10, 3, dropout=dropout)
        data = torch.Generator().manual_seed(99)
        self.x = torch.randn(64, 5, generator=data)
        self.y = torch.sin(self.x @ torch.randn(5, 3, generator=data))
        self.seed = seed
        self.served: list[tuple[int, int]] = []  # (epoch, batch), as they were asked for

    def batches(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        order = torch.randperm(48, generator=torch.Generator().manual_seed(1000 * self.seed + epoch))
        for number, rows in enumerate(order.split(8)):
            if number >= start:
                self.served.append((epoch, number))
                yield rows

    def loss(self, batch: Tensor) -> Tensor:
        noise = 1 + 0.1 * random.random() + 0.1 * np.random.rand()  # draws from every generator that a task may use
        return noise * F.mse_loss(self.model(self.x[batch]), self.y[batch])

    def samples(self, batch: Any) -> int:
        return len(batch)

    def validate(self) -> dict[str, float]:
        return {"valid_loss": F.mse_loss(self.model(self.x[48:56]), self.y[48:56]).item()}

    def test(self) -> dict[str, float]:
        return {"loss": F.mse_loss(self.model(self.x[56:]), self.y[56:]).item()}


class Scripted(Toy):
    """A toy whose validation metric follows a script; ``seen`` keeps the weights at each evaluation."""

    selection = "valid_accuracy"

    def __init__(self, script: list[float], **options: Any) -> None:
        super().__init__(**options)
        self.script, self.seen = script, []

    def validate(self) -> dict[str, float]:
        self.seen.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return {"valid_accuracy": self.script[len(self.seen) - 1]}


def settings(epochs: int | None = 4, steps: int | None = None, eval_every: int = 1, **optim: Any) -> TaskConfig:
    """Settings of a toy run; ``patience`` is set on the result."""
    return TaskConfig(optim=OptimConfig(**{"lr": 0.02, **optim}), epochs=epochs, steps=steps, eval_every=eval_every)


def make_loop(
    method: str = "dfa",
    config: TaskConfig | None = None,
    toy: Callable[[], Toy] = Toy,
    precision: str = "fp32",
    stop_requested: Callable[[], bool] = lambda: False,
    on_evaluation: Callable[[Row], None] = lambda row: None,
    processes: Processes = ALONE,
) -> Loop:
    """A loop over a fresh toy, seeded as a run is."""
    seed_everything(3)
    task = toy()
    attached = make_method(method, task.model)
    seed_everything(4)
    hardware = HardwareConfig(precision=precision)
    return Loop(task, attached, config or settings(), hardware, on_evaluation, stop_requested, processes=processes)


class StopAt:
    """Asks for a stop after the given steps of a loop, counted over interruptions."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.loop = set(steps), None

    def __call__(self) -> bool:
        return self.loop is not None and self.loop.progress.step in self.steps


def run_to_next_stop(loop: Loop) -> bool:
    """Run; was it interrupted?"""
    try:
        loop.run()
    except Interrupted:
        return True
    return False


def without_time(history: list[Row]) -> list[Row]:
    """The rows without the clock, which no two runs share."""
    return [{key: value for key, value in row.items() if key != "train_seconds"} for row in history]
