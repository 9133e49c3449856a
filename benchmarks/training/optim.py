"""Optimizer, clipping and learning-rate schedule from their settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from benchmarks.settings.schema import OptimConfig
from benchmarks.tasks.task import Task
from benchmarks.training.lazy_adam import LazyAdam
from dfa_core import Method


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> None:
    """Scale all gradients together so that their joint norm is ``max_norm`` at most; sparse ones count as well."""
    gradients = []
    for p in parameters:
        if p.grad is not None and p.grad.is_sparse:
            p.grad = p.grad.coalesce()  # entries of one row become their sum, which is what has a norm
            gradients.append(p.grad.values())
        elif p.grad is not None:
            gradients.append(p.grad)
    factor = max_norm / (torch.nn.utils.get_total_norm(gradients) + 1e-6)
    torch._foreach_mul_(gradients, factor.clamp(max=1))


def build_optimizer(task: Task, method: Method, config: OptimConfig) -> torch.optim.Optimizer:
    """Adam or SGD; weight decay on all parameters or on the first layer's alone; the method's parameters in own groups.

    Raises:
        ValueError: a setting that does not exist.
    """
    if config.decay == "all":
        groups: list[dict[str, Any]] = [{"params": list(task.model.parameters()), "weight_decay": config.weight_decay}]
    elif config.decay == "first_layer":
        decayed = _parameters(task.first_layer())
        rest = [p for p in task.model.parameters() if id(p) not in {id(q) for q in decayed}]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
    else:
        raise ValueError(f"task.optim.decay='{config.decay}': choose all or first_layer")
    groups = [part for group in groups for part in _by_rate(group, task.rate_factors(), config.lr)]
    groups += method.parameter_groups()
    if config.kind == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    if config.kind != "adam":
        raise ValueError(f"task.optim.kind='{config.kind}': choose adam or sgd")
    # Fused: one pass over each parameter in place of a dozen, three to four times as fast on a CPU (docs/speed.md).
    return LazyAdam(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]), eps=config.eps, fused=True)


def _by_rate(group: dict[str, Any], factors: Mapping[nn.Parameter, float], lr: float) -> list[dict[str, Any]]:
    """The group, parted where its parameters learn at different rates; the first part has the rate itself."""
    parts: dict[float, list[nn.Parameter]] = {1.0: []}
    for p in group["params"]:
        parts.setdefault(factors.get(p, 1.0), []).append(p)
    return [{**group, "params": p, "lr": factor * lr} for factor, p in parts.items() if p]


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
            mode: Literal["min", "max"] = "max" if higher_is_better else "min"
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
