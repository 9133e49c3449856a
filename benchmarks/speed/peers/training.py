"""A peer's training step, with every optimisation that ours has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.catalogue.discovery import architectures
from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.forms import FORMS
from benchmarks.speed.subjects import Stepper, Subject

Step = Callable[[], None]


@dataclass(frozen=True)
class Pair:
    """One step of ours under backprop, and a peer's with the same sizes on the same data."""

    ours: Step
    theirs: Step


def our_stepper(task: str, hardware: HardwareConfig, *overrides: str) -> Stepper:
    """Ours under backprop at published size, as `make speed` times it."""
    return Subject(task, "published", overrides).stepper(FORMS["bp"], hardware)


def sizes_of(settings: Any) -> Any:
    """The network's settings, as an object of its schema."""
    return architectures()[settings.architecture].model_config(**settings.model)


def step_of(model: nn.Module, settings: Any, loss: Callable[[], Tensor]) -> Step:
    """A step of plain PyTorch: a forward pass, ``loss.backward()``, PyTorch's fused Adam with our settings."""
    optim = settings.optim
    optimizer = torch.optim.Adam(
        model.parameters(), optim.lr, tuple(optim.betas), optim.eps, optim.weight_decay, fused=True
    )
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step
