"""Classification of images: cross-entropy on the training images, accuracy in percent on the others."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.catalogue.discovery import architectures
from benchmarks.tasks.images.cnn import CNN
from benchmarks.tasks.images.config import ImagesConfig
from benchmarks.tasks.images.data import Batch, Part, TaskImages
from benchmarks.tasks.images.dynamics import convolution_cosines
from benchmarks.tasks.images.mlp import MLP
from benchmarks.tasks.images.prealign import prealign
from benchmarks.tasks.task import Task
from datasets.core.source import Source
from datasets.images.manifest import CLASSES
from dfa_core import Classes, Method, Supervision


class ImageClassification(Task):
    """One of the image networks on one of the datasets.

    Raises:
        ValueError: settings that do not go together, or not with the data.
    """

    selection = "valid_accuracy"

    def __init__(self, config: ImagesConfig, source: Source, seed: int) -> None:
        self.config, self.seed = config, seed
        self.data = TaskImages(config, source)
        self.keeps_last = not config.valid_share
        samples = max(config.batch_size, config.alignment_samples)
        architecture = architectures()[config.architecture]
        settings = architecture.model_config(**config.model)
        self.model = architecture.network_class(settings, self.data.shape, CLASSES, samples)
        if not config.full_batches and len(self.data.train.labels) % config.batch_size == 1:
            raise ValueError(
                f"task.batch_size={config.batch_size}: one image is left for the last batch, and batch norm needs two; "
                "choose another size, or give task.full_batches=true"
            )

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return self.data.training_batches(self.config, self.seed, epoch, start)

    @property
    def epoch_length(self) -> int:
        return math.ceil(len(self.data.train.labels) / self.config.batch_size)

    def loss(self, batch: Batch) -> Tensor:
        images, labels = batch.to(self._device)
        return F.cross_entropy(self.model(images), labels)

    def supervision(self, batch: Batch) -> Supervision:
        labels = batch.labels.to(self._device)
        return Supervision(
            head=lambda tap, scores: F.cross_entropy(scores, labels), targets=lambda tap: Classes(labels, CLASSES)
        )

    def samples(self, batch: Batch) -> int:
        return len(batch.labels)

    def validate(self) -> dict[str, float]:
        return {"valid_accuracy": self._accuracy(self.data.valid)}

    def test(self) -> dict[str, float]:
        return {"accuracy": self._accuracy(self.data.test), "train_accuracy": self._accuracy(self.data.train)}

    def alignment_batch(self) -> Batch:
        return self.data.ready(self.data.valid, slice(self.config.alignment_samples))

    def prepare(self, method: Method) -> None:
        if self.config.model.get("initial") == "prealigned":
            assert isinstance(self.model, MLP)
            prealign(self.model, method, next(iter(self.batches(0))).to(self._device))

    def dynamics(self, method: Method) -> dict[str, float]:
        return convolution_cosines(self.model, method) if isinstance(self.model, CNN) else {}

    def rate_factors(self) -> dict[nn.Parameter, float]:
        if self.config.hidden_loss == "mean":
            return {}
        factor = float(self.config.batch_size)
        return {p: factor for name, p in self.model.named_parameters() if not name.startswith("output.")}

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _accuracy(self, part: Part) -> float:
        """Percent of a part that is classified correctly."""
        batches = (batch.to(self._device) for batch in self.data.in_order(part, self.config.eval_batch_size))
        right = sum(int((self.model(images).argmax(1) == labels).sum()) for images, labels in batches)
        return 100 * right / len(part.labels)
