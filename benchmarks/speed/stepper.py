"""A task under one method, one training step after the other: the training loop's own steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Generic, TypeVar

import torch
from omegaconf import OmegaConf

from benchmarks.settings.compose import compose
from benchmarks.settings.schema import HardwareConfig
from benchmarks.tasks.task import Task
from benchmarks.training.loop import Loop
from benchmarks.training.randomness import seed_everything
from dfa_core import make_method

AnyTask = TypeVar("AnyTask", bound=Task)


class Stepper(Generic[AnyTask]):
    """Steps of :class:`benchmarks.training.loop.Loop` on batches without end, so that what is timed is what trains.

    Args:
        overrides: choose task and method, and change settings; the profile is ``paper``.
        build: makes the task from its settings, on data that are generated for the measurement.
        hardware: device and precision.
    """

    def __init__(self, overrides: Sequence[str], build: Callable[[Any], AnyTask], hardware: HardwareConfig) -> None:
        config = compose([*overrides, "profile=paper"])
        settings: Any = OmegaConf.to_object(config.task)
        settings.model = OmegaConf.to_container(config.task.model)
        device = torch.device(hardware.device)
        seed_everything(0)
        self.task = build(settings)
        self.task.model.to(device)
        method = make_method(config.method.name, self.task.model).to(device)
        self.loop = Loop(self.task, method, settings, hardware)
        self.task.model.train()
        self.batches: Iterator[Any] = (batch for epoch in count() for batch in self.task.batches(epoch))

    def step(self) -> None:
        """From the next batch to the update of the weights."""
        self.loop.step(next(self.batches))
