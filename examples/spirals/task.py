"""The network with its marks, and the task."""

from typing import Any

import numpy as np
import torch
from benchmarks.tasks.spirals.config import SpiralsConfig
from torch import Tensor, nn

from benchmarks.tasks.task import Task
from datasets.core.source import Source, prepare
from dfa_core import ErrorTap, FeedbackPoint


def mlp(h: int) -> nn.Module:
    """Points ``(samples, 2)`` → scores ``(samples, 2)``; a feedback point behind each tanh."""
    first = (nn.Linear(2, h), nn.Tanh(), FeedbackPoint(h))
    return nn.Sequential(*first, nn.Linear(h, h), nn.Tanh(), FeedbackPoint(h), nn.Linear(h, 2), ErrorTap(2))


class Spirals(Task):
    """Cross-entropy; of ten points six are for training, two for validation and two for the test."""

    selection = "valid_told_apart"

    def __init__(self, config: SpiralsConfig, source: Source, seed: int) -> None:
        prepare(source)
        data = torch.from_numpy(np.load(source.folder / "points.npy"))
        self.x, self.y, self.part = data[:, :2], data[:, 2].long(), torch.randperm(len(data)) % 10 // 2
        self.model = mlp(config.model["hidden"])

    def loss(self, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(self.model(self.x[self.part < 3]), self.y[self.part < 3])

    def samples(self, batch: Any) -> int:
        return int((self.part < 3).sum())

    def validate(self) -> dict[str, float]:
        return {"valid_told_apart": self._told_apart(self.part == 3)}

    def test(self) -> dict[str, float]:
        return {"told_apart": self._told_apart(self.part == 4)}

    def _told_apart(self, part: Tensor) -> float:
        return 100 * (self.model(self.x[part]).argmax(1) == self.y[part]).float().mean().item()
