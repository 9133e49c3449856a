"""Optimizer and learning-rate schedule from their settings."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from benchmarks.config import OptimConfig
from benchmarks.task import Task


def build_optimizer(task: Task, config: OptimConfig) -> torch.optim.Adam:
    """Adam; weight decay on all parameters or on the first layer's alone."""
    if config.decay == "all":
        groups = [{"params": list(task.model.parameters()), "weight_decay": config.weight_decay}]
    elif config.decay == "first_layer":
        decayed = _parameters(task.first_layer())
        rest = [p for p in task.model.parameters() if id(p) not in {id(q) for q in decayed}]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
    else:
        raise ValueError(f"task.optim.decay='{config.decay}': choose all or first_layer")
    return torch.optim.Adam(groups, lr=config.lr, betas=tuple(config.betas), eps=config.eps)


def _parameters(modules: list[nn.Module]) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters()]


class Schedule:
    """The learning rate over a run: stepped after every training step and after every evaluation."""

    def __init__(self, optimizer: torch.optim.Optimizer, config: OptimConfig, higher_is_better: bool) -> None:
        steps, factor = config.schedule_steps, config.schedule_factor
        self._by_step: LRScheduler | None = None
        self._by_metric: ReduceLROnPlateau | None = None
        if config.schedule == "exponential":
            self._by_step = LambdaLR(optimizer, lambda step: factor ** (step / steps))
        elif config.schedule == "noam":  # peaks at `lr` after the warm-up (Vaswani et al. 2017, section 5.3)
            self._by_step = LambdaLR(optimizer, lambda step: min((step + 1) / steps, (steps / (step + 1)) ** 0.5))
        elif config.schedule == "plateau":
            mode = "max" if higher_is_better else "min"
            self._by_metric = ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=steps)
        elif config.schedule != "constant":
            raise ValueError(f"task.optim.schedule='{config.schedule}': choose constant, exponential, noam or plateau")

    def after_step(self) -> None:
        """To be called after every optimizer step."""
        if self._by_step is not None:
            self._by_step.step()

    def after_evaluation(self, value: float) -> None:
        """To be called with every value of the selection metric."""
        if self._by_metric is not None:
            self._by_metric.step(value)

    def state_dict(self) -> dict[str, object]:
        scheduler = self._by_step or self._by_metric
        return {} if scheduler is None else scheduler.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        scheduler = self._by_step or self._by_metric
        if scheduler is not None:
            scheduler.load_state_dict(state)
