"""One update of the parameters, in two halves: the method's gradients; clipping, the optimizer, the schedule."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.catalogue.metric import HIGHER
from benchmarks.records import metrics
from benchmarks.settings.schema import HardwareConfig, OptimConfig
from benchmarks.tasks.task import Task
from benchmarks.training.optim import Schedule, build_optimizer, clip_gradients
from benchmarks.training.processes import Processes
from dfa_core import Method


class Updates:
    """Updates of one task's parameters with one method.

    Args:
        task, method: what to train and how credit is assigned.
        settings: the optimizer's.
        hardware: precision of the forward pass, device.
        processes: those that share every batch.
        stop_requested: asked in every step; when it is true in one process, `stopped` is true in all.
    """

    def __init__(
        self,
        task: Task,
        method: Method,
        settings: OptimConfig,
        hardware: HardwareConfig,
        processes: Processes,
        stop_requested: Callable[[], bool],
    ) -> None:
        self.task, self.method = task, method
        self.higher_is_better = metrics.lookup(task.selection).better == HIGHER
        self.optimizer = build_optimizer(task, method, settings)
        self.schedule = Schedule(self.optimizer, settings, self.higher_is_better)
        self.stopped = False
        self._clip_norm = settings.clip_norm
        self._device = torch.device(hardware.device)
        self._autocast = {"fp32": None, "bf16": torch.bfloat16}[hardware.precision]
        self._processes, self._stop_requested = processes, stop_requested

    def gradients(self, batch: Any) -> Tensor:
        """The first half of a step: gradients of all parameters from ``batch``; returns the loss, detached."""
        if not self.task.model.training:  # asking first saves a walk over all modules, which small graphs feel
            self.task.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        part, share = self._processes.part(self.task, batch)
        supervision = self.task.supervision(part) if self.method.needs - {"replay"} else None

        def loss() -> Tensor:
            with self.forward_context():
                found = self.task.loss(part)
            return found if share == 1 else share * found

        with self._processes.in_step(self.task.model):
            found = self.method.step(loss, supervision)
        return self._added_up(found)

    def update(self) -> None:
        """The second half of a step: clipping, the optimizer, the schedule."""
        if self._clip_norm is not None:
            clip_gradients(self.task.model.parameters(), self._clip_norm)
        self.optimizer.step()
        self.schedule.after_step()

    def forward_context(self) -> contextlib.AbstractContextManager[None]:
        """The context of a forward pass: autocast, where the settings ask for it."""
        if self._autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, self._autocast)

    def _added_up(self, loss: Tensor) -> Tensor:
        """The loss of the whole batch; the parameters have its gradients."""
        if self._processes.world == 1:
            return loss
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        loss, self.stopped = self._processes.add_up(parameters, loss, self._stop_requested())
        return loss
