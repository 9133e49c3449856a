"""Perceptrons of several seeds in one run, each with weights and an order of the images of its own.

All have the same feedback matrices, as in arXiv:2011.12428: what seeds come to share is then what the feedback has
made them share. To the engine the seeds are samples (``batch_dims=2``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.images.config import ImagesConfig, StackConfig
from benchmarks.tasks.images.data import Batch, Part, TaskImages
from benchmarks.tasks.images.dynamics import stack_dynamics
from benchmarks.tasks.images.layers import activation
from benchmarks.tasks.task import Task
from datasets.core.source import Source
from datasets.images.manifest import CLASSES
from dfa_core import Classes, ErrorTap, FeedbackPoint, Method, Supervision

#: Images of each part that are looked at: the first ones.
_EVALUATED = 2000


class Stack(nn.Module):
    """Fully connected networks without biases, side by side; a feedback point behind each activation.

    Args:
        config: its settings.
        inputs: pixels of an image.
        classes: how many.
    """

    def __init__(self, config: StackConfig, inputs: int, classes: int) -> None:
        super().__init__()
        widths = [inputs, *[config.width] * config.layers, classes]
        self.weights = nn.ParameterList(torch.empty(config.copies, a, b) for a, b in pairwise(widths))
        for weight in self.weights:  # U(±1/√inputs), PyTorch's own
            nn.init.uniform_(weight, -1 / math.sqrt(weight.shape[1]), 1 / math.sqrt(weight.shape[1]))
        self.activation = activation(config.activation, 0.0)
        self.points = nn.ModuleList(FeedbackPoint(config.width, batch_dims=2) for _ in range(config.layers))
        self.tap = ErrorTap(classes, batch_dims=2)

    @property
    def copies(self) -> int:
        """How many networks there are."""
        return int(self.weights[0].shape[0])

    def forward(self, x: Tensor) -> Tensor:
        """Pixels ``(copies, n, inputs)`` → scores ``(copies, n, classes)``."""
        *hidden, output = self.weights
        for weight, point in zip(hidden, self.points, strict=True):
            x = point(self.activation(torch.bmm(x, weight)))
        return self.tap(torch.bmm(x, output))


class SeedsSideBySide(Task):
    """Classification by all copies at once; the loss is the sum of theirs, so that each learns as if it were alone."""

    model: Stack
    selection = "valid_accuracy"
    keeps_last = True

    def __init__(self, config: ImagesConfig, source: Source, seed: int) -> None:
        self.config, self.seed = config, seed
        self.data = TaskImages(config, source)
        self.model = Stack(StackConfig(**config.model), math.prod(self.data.shape), CLASSES)
        train = self.data.ready(self.data.train, slice(None))
        self._pixels, self._labels = train.images.flatten(1), train.labels

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        copies, size = self.model.copies, self.config.batch_size
        seeds = np.random.SeedSequence([self.seed, epoch]).generate_state(copies)
        orders = [torch.randperm(len(self._labels), generator=_generator(int(seed))) for seed in seeds]
        order = torch.stack(orders)[:, : len(self._labels) // size * size]  # (copies, images)
        return (Batch(self._pixels[chunk], self._labels[chunk]) for chunk in order.split(size, dim=1)[start:])

    @property
    def epoch_length(self) -> int:
        return len(self._labels) // self.config.batch_size

    def loss(self, batch: Batch) -> Tensor:
        pixels, labels = batch.to(self._device)
        return self._loss(self.model(pixels), labels)

    def part(self, batch: Batch, number: int, of: int) -> Batch:
        return Batch(*(entry.tensor_split(of, dim=1)[number] for entry in batch))  # each copy's images are divided

    def supervision(self, batch: Batch) -> Supervision:
        labels = batch.labels.to(self._device)
        return Supervision(
            head=lambda tap, scores: self._loss(scores, labels), targets=lambda tap: Classes(labels, CLASSES)
        )

    def samples(self, batch: Batch) -> int:
        return batch.labels.numel()

    def validate(self) -> dict[str, float]:
        return {"valid_accuracy": self._accuracy(self.data.test), "train_accuracy": self._accuracy(self.data.train)}

    def test(self) -> dict[str, float]:
        return {"accuracy": self._accuracy(self.data.test), "train_accuracy": self._accuracy(self.data.train)}

    def alignment_batch(self) -> Batch:
        return self._first(self.data.train, self.config.alignment_samples)

    def dynamics(self, method: Method) -> dict[str, float]:
        batch = self.alignment_batch().to(self._device)
        return stack_dynamics(list(self.model.weights), self.model, method, batch)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(scores.flatten(0, 1), labels.flatten()) * self.model.copies

    def _first(self, part: Part, count: int) -> Batch:
        """The first images of a part, the same for every copy."""
        images, labels = self.data.ready(part, slice(count))
        copies = self.model.copies
        return Batch(images.flatten(1).expand(copies, -1, -1), labels.expand(copies, -1))

    def _accuracy(self, part: Part) -> float:
        """Percent of the first images that are classified correctly, over all copies."""
        pixels, labels = self._first(part, _EVALUATED).to(self._device)
        return 100 * (self.model(pixels).argmax(-1) == labels).double().mean().item()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
