"""The work that is timed. Append to :data:`CASES` to add a case; a domain may do so from its own module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.criteo.config import DeepFMConfig
from benchmarks.tasks.criteo.mlp import MLP as RecommenderMLP
from dfa_core import ErrorTap, FeedbackPoint

Optimizer = Callable[[nn.Module], torch.optim.Optimizer]


@dataclass(frozen=True)
class SpeedCase:
    """One model, one batch and one loss, to be stepped under every form of training.

    Attributes:
        name: as in the table; names the batch size.
        model: builds a marked model.
        batch: draws the inputs and the targets.
        loss: from the model's output and the targets to a scalar.
        repeats: timed steps of each form.
        optimizer: built from the model; ``None`` times forward, loss and backward alone.
        target: the dfa/bp ratio to reach, or ``None``.
    """

    name: str
    model: Callable[[], nn.Module]
    batch: Callable[[], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    repeats: int
    optimizer: Optimizer | None = None
    target: float | None = None


class MLP(nn.Module):
    """A ReLU network ``(batch, inputs) -> (batch, outputs)`` with feedback after each hidden layer."""

    def __init__(self, inputs: int, hidden: int, depth: int, outputs: int) -> None:
        super().__init__()
        widths = [inputs] + [hidden] * depth
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.points = nn.ModuleList(FeedbackPoint(hidden) for _ in self.layers)
        self.head = nn.Linear(hidden, outputs)
        self.tap = ErrorTap(outputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer, point in zip(self.layers, self.points, strict=True):
            x = point(F.relu(layer(x)))
        return self.tap(self.head(x))


def _classifier(batch: int, repeats: int, optimizer: Optimizer | None = None) -> SpeedCase:
    return SpeedCase(
        name=f"MLP 784-4×2048-10, batch {batch}" + (", with Adam" if optimizer else ""),
        model=lambda: MLP(784, 2048, 4, 10),
        batch=lambda: (torch.randn(batch, 784), torch.randint(10, (batch,))),
        loss=F.cross_entropy,
        repeats=repeats,
        optimizer=optimizer,
        target=None if optimizer else 0.75,
    )


def _nerf(rows: int, repeats: int) -> SpeedCase:
    return SpeedCase(
        name=f"NeRF-shaped MLP 63-8×256-4, {rows:,} rows",
        model=lambda: MLP(63, 256, 8, 4),
        batch=lambda: (torch.randn(rows, 63), torch.rand(rows, 4)),
        loss=F.mse_loss,
        repeats=repeats,
        target=0.55,
    )


class _DenseDeepFM(nn.Module):
    """DeepFM above its embeddings; under backprop they get their gradient, under the others they are cut."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Parameter(torch.ones(390))  # makes the input one that backprop has to differentiate
        self.cut = FeedbackPoint(390)
        self.mlp = RecommenderMLP(390, DeepFMConfig(hidden=400, layers=3, dropout=0.5))
        self.head = nn.Linear(400, 1)
        self.tap = ErrorTap(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.head(self.mlp(self.cut(x * self.below))))


def _deepfm(batch: int, repeats: int) -> SpeedCase:
    return SpeedCase(
        name=f"DeepFM's dense part 390-3×400-1, batch {batch}",
        model=_DenseDeepFM,
        batch=lambda: (torch.randn(batch, 390), torch.rand(batch, 1)),
        loss=F.binary_cross_entropy_with_logits,
        repeats=repeats,
        target=0.9,
    )


CASES: list[SpeedCase] = [
    _classifier(128, 25),
    _classifier(512, 15),
    _classifier(512, 10, lambda model: torch.optim.Adam(model.parameters(), fused=True)),
    _nerf(65_536, 7),
    _deepfm(2048, 25),
]
