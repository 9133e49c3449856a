"""Node classification on a citation graph: the whole graph is one batch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.catalogue.discovery import architectures
from benchmarks.tasks.citation.config import CitationConfig
from benchmarks.tasks.citation.graph import Graph
from benchmarks.tasks.hidden_layer import file
from benchmarks.tasks.hidden_layer.activation import copied_weights, hidden_layer
from benchmarks.tasks.hidden_layer.separation import separation, some_of
from benchmarks.tasks.task import Task
from datasets.core.source import Source
from datasets.planetoid.load import load_citation
from dfa_core import Classes, Supervision

load_once = lru_cache(maxsize=3)(load_citation)  # a worker runs many seeds and methods on the same graph


class NodeClassification(Task):
    """Cross-entropy on the training nodes, accuracy in percent on the others.

    The hidden layer is judged and shown on test nodes: training has told those of the training nodes apart already.
    """

    model: Any
    selection = "valid_accuracy"

    def __init__(self, config: CitationConfig, source: Source, seed: int) -> None:
        data = load_once(source)
        self.graph = Graph.of(data, config.normalize)
        self.train, self.valid, self.held_out = _split(data, config.split, seed)
        architecture = architectures()[config.architecture]
        settings = architecture.model_config(**config.model)
        self.model = architecture.network_class(settings, self.graph.x.width, self.graph.classes)
        self._initial_weights = copied_weights(self.model)
        self._shown = some_of(self.held_out)
        # A tap that wraps log-softmax hands out log-probabilities: a second log-softmax would restore the error.
        self._loss = F.nll_loss if getattr(self.model, "log_softmax_tap", False) else F.cross_entropy

    def loss(self, batch: Tensor | None) -> Tensor:
        nodes = self.train if batch is None else batch
        return self._loss(self.model(self.graph)[nodes], self.graph.y[nodes])

    def supervision(self, batch: Tensor | None) -> Supervision:
        """The loss of any class scores on the batch's nodes, and the classes of these nodes."""
        nodes, y = self.train if batch is None else batch, self.graph.y
        known = torch.full_like(y, -1).index_copy_(0, nodes, y[nodes])
        return Supervision(
            head=lambda tap, scores: F.cross_entropy(scores[nodes], y[nodes]),
            targets=lambda tap: Classes(known, self.graph.classes),
        )

    def samples(self, batch: Any) -> int:
        return self.train.numel()

    def validate(self) -> dict[str, float]:
        return {"valid_accuracy": self._accuracy(self.valid)}

    def test(self) -> dict[str, float]:
        hidden = self._hidden()
        apart = {} if hidden is None else separation(hidden, self.graph.y[self._shown])
        return {"accuracy": self._accuracy(self.held_out), **apart}

    def artefacts(self) -> dict[str, bytes]:
        trained, initial = self._hidden(), self._hidden(self._initial_weights)
        if trained is None or initial is None:
            return {}
        embedding = file.Embedding.of(self._shown, self.graph.y[self._shown], trained, initial)
        return {file.SUFFIX: file.packed(embedding)}

    def alignment_batch(self) -> Tensor:
        """All nodes, as in the paper: every node has an error."""
        return torch.arange(self.graph.nodes)

    def first_layer(self) -> list[nn.Module]:
        layers: list[nn.Module] = self.model.first_layer()
        return layers

    def _hidden(self, weights: dict[str, Tensor] | None = None) -> Tensor | None:
        """Hidden vectors of the nodes to show, ``(nodes, width)``; None for a model without feedback points."""
        hidden = hidden_layer(self.model, self.graph, weights=weights)
        return None if hidden is None else hidden[self._shown]

    def _accuracy(self, nodes: Tensor) -> float:
        correct = self.model(self.graph)[nodes].argmax(1) == self.graph.y[nodes]
        return 100 * correct.double().mean().item()


def _split(data: Any, split: str, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of training, validation and test nodes."""
    if split == "public":
        return tuple(mask.nonzero().squeeze(1) for mask in (data.train_mask, data.val_mask, data.test_mask))
    if split == "folds":
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        parts = [torch.from_numpy(nodes) for _, nodes in folds.split(data.y, data.y)]
        return parts[0], parts[1], torch.cat(parts[2:])
    raise ValueError(f"task.split='{split}': choose public or folds")
