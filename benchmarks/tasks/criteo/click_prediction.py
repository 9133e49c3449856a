"""Click prediction on Criteo's data: which of the shown ads are clicked?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.catalogue.discovery import architectures
from benchmarks.tasks.criteo.config import CriteoConfig
from benchmarks.tasks.criteo.fields import Fields, dense_gradients, tables
from benchmarks.tasks.task import Task
from datasets.core.source import Source
from datasets.criteo.load import Batch, CriteoData, Preprocessing, batches, load_criteo
from dfa_core import Classes, Supervision

ALIGNMENT_SAMPLES = 512  # as in the paper
load_once = lru_cache(maxsize=2)(load_criteo)  # a worker runs many seeds and methods on the same rows


def build(config: CriteoConfig, source: Source, seed: int) -> ClickPrediction:
    """The task on the rows of ``source``, which are preprocessed if they are not yet."""
    return ClickPrediction(config, load_once(source, Preprocessing(config.threshold, config.rows)), seed)


class ClickPrediction(Task):
    """Binary cross-entropy on the training rows, AUC and log loss on the others.

    Raises:
        ValueError: settings that do not go together, or not with the data.
    """

    selection = "valid_auc"

    def __init__(self, config: CriteoConfig, data: CriteoData, seed: int) -> None:
        self.config, self.data, self.seed = config, data, seed
        self.split = data.split_by_days() if config.split == "days" else data.split(config.split_seed)

        self._check()
        sparse, sizes = config.embedding_update == "sparse", data.field_sizes
        architecture = architectures()[config.architecture]
        settings = architecture.model_config(**config.model)
        self.model = architecture.network_class(settings, Fields(len(sizes), sum(sizes), sparse))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return self._training_batches(epoch, self.config.batch_size, start)

    @property
    def epoch_length(self) -> int:
        return math.ceil(len(self.split.train) / self.config.batch_size)

    def loss(self, batch: Batch) -> Tensor:
        feature_ids, labels = (part.to(self._device) for part in batch)
        return F.binary_cross_entropy_with_logits(self.model(feature_ids), labels)

    def supervision(self, batch: Batch) -> Supervision:
        labels = batch.labels.to(self._device)
        return Supervision(
            head=lambda tap, logits: F.binary_cross_entropy_with_logits(logits.squeeze(1), labels),
            targets=lambda tap: Classes(labels.long(), 2),
        )

    def samples(self, batch: Batch) -> int:
        return batch.labels.numel()

    def validate(self) -> dict[str, float]:
        return {f"valid_{name}": value for name, value in self._scores(self.split.valid).items()}

    def test(self) -> dict[str, float]:
        return self._scores(self.split.test)

    def alignment_batch(self) -> Batch:
        return next(self._training_batches(0, ALIGNMENT_SAMPLES))

    def alignment_loss(self, batch: Batch) -> Tensor:
        with dense_gradients(self.model):
            return self.loss(batch)

    def first_layer(self) -> list[nn.Module]:
        return list(tables(self.model))

    def compile(self) -> None:
        for table in tables(self.model):  # sparse gradients cannot pass through compiled code
            table.forward = torch.compiler.disable(table.forward)  # type: ignore[method-assign]
        self.model.compile()

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _training_batches(self, epoch: int, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of training rows; their order depends on the run's seed and the epoch, not on the method."""
        order_seed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])
        return batches(self.data, self.split.train, batch_size, order_seed=order_seed, start=start)

    def _scores(self, part: Tensor) -> dict[str, float]:
        """AUC and mean log loss on the rows with these numbers."""
        logits, labels = torch.empty(len(part)), torch.empty(len(part))
        end = 0
        for batch in batches(self.data, part, self.config.eval_batch_size, order_seed=None):
            start, end = end, end + self.samples(batch)
            logits[start:end] = self.model(batch.feature_ids.to(self._device))
            labels[start:end] = batch.labels
        if not logits.isfinite().all():  # the run has diverged
            return {"auc": math.nan, "log_loss": math.nan}
        return {
            "auc": float(roc_auc_score(labels.numpy(), logits.numpy())),
            "log_loss": F.binary_cross_entropy_with_logits(logits.double(), labels.double()).item(),
        }

    def _check(self) -> None:
        config = self.config
        if config.embedding_update == "sparse" and config.optim.weight_decay:
            raise ValueError(
                f"task.optim.weight_decay={config.optim.weight_decay}: rows that no batch touches would not decay; "
                "give task.embedding_update=dense"
            )
        if config.embedding_update == "sparse" and config.optim.momentum:
            raise ValueError(
                f"task.optim.momentum={config.optim.momentum}: of sparse gradients it grows by a batch in every step, "
                "and the step with it; give task.embedding_update=dense"
            )
        if len(self.split.train) % config.batch_size == 1:
            raise ValueError(
                f"task.batch_size={config.batch_size}: one of the {len(self.split.train)} training rows is left for "
                "the last batch, and batch norm needs two; choose another size"
            )
        split = "task.split=days" if config.split == "days" else f"task.split_seed={config.split_seed}"
        for part, numbers in (("validation", self.split.valid), ("test", self.split.test)):
            if self.data.labels[numbers].unique().numel() < 2:
                raise ValueError(
                    f"task.rows={config.rows}, {split}: the {len(numbers)} rows of the {part} split do not have both "
                    "labels, so there is no AUC; take more rows"
                )
