"""Graph autoencoder (Kipf & Welling, arXiv:1611.07308): embed the nodes, predict links by inner products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.transforms import RandomLinkSplit

from benchmarks.tasks.citation.classification import load_once
from benchmarks.tasks.citation.config import CitationConfig, GAEConfig
from benchmarks.tasks.citation.edges import GCNConv
from benchmarks.tasks.citation.graph import FeatureLinear, Graph, without_projection
from benchmarks.tasks.task import Task
from datasets.core.source import Source
from dfa_core import Carried, ErrorTap, FeedbackPoint, Supervision


class GAE(nn.Module):
    """GCN encoder; feedback on its hidden layer, error read at the embedding."""

    def __init__(self, config: GAEConfig, features: int) -> None:
        super().__init__()
        self.project = FeatureLinear(features, config.hidden, bias=False, weight_initializer="glorot")
        self.conv1 = without_projection(GCNConv(config.hidden, config.hidden))
        self.conv2 = GCNConv(config.hidden, config.embedding)
        self.point = FeedbackPoint(config.hidden, structure=Carried(self.conv2.adjoint))
        self.tap = ErrorTap(config.embedding, independent_dims=0)

    def first_layer(self) -> list[nn.Module]:
        return [self.project, self.conv1]

    def forward(self, graph: Graph) -> Tensor:
        """Embedding, ``(nodes, embedding)``."""
        h = self.point(F.relu(self.conv1(self.project(graph.x), graph.edge_index)))
        return self.tap(self.conv2(h, graph.edge_index))


def link_logits(embedding: Tensor, pairs: Tensor) -> Tensor:
    """⟨z_i, z_j⟩ of node pairs ``(2, pairs)``."""
    return (embedding[pairs[0]] * embedding[pairs[1]]).sum(1)


@dataclass(frozen=True)
class Links:
    """Held-out pairs: linked ones and as many that are not, ``(2, pairs)`` each."""

    positive: Tensor
    negative: Tensor


class LinkPrediction(Task):
    """Reconstruction of the training links; AUC and average precision on held-out links (5% and 10%)."""

    model: Any
    selection = "valid_auc"

    def __init__(self, config: CitationConfig, source: Source, seed: int) -> None:
        data = load_once(source)
        split = RandomLinkSplit(
            num_val=0.05,
            num_test=0.1,
            is_undirected=True,
            split_labels=True,
            add_negative_train_samples=False,
        )
        train, valid, test = split(data)
        self.valid, self.held_out = (
            Links(part.pos_edge_label_index, part.neg_edge_label_index) for part in (valid, test)
        )
        data = data.clone()
        data.edge_index = train.edge_index
        self.graph = Graph.of(data, config.normalize)
        self.known = (train.edge_index[0] * self.graph.nodes + train.edge_index[1]).sort().values
        self.model = GAE(GAEConfig(**config.model), self.graph.x.width)

    def loss(self, batch: Any) -> Tensor:
        return self._reconstruction(self.model(self.graph))

    def supervision(self, batch: Any) -> Supervision:
        before = torch.get_rng_state()

        def head(tap: str, embedding: Tensor) -> Tensor:
            with torch.random.fork_rng(devices=[]):  # the same pairs as in the loss, which draws nothing else
                torch.set_rng_state(before)
                return self._reconstruction(embedding)

        return Supervision(head=head)

    def _reconstruction(self, embedding: Tensor) -> Tensor:
        linked = link_logits(embedding, self.graph.edge_index)
        unlinked = link_logits(embedding, self._unlinked_pairs(self.graph.edge_index.size(1)))
        return F.softplus(-linked).mean() + F.softplus(unlinked).mean()

    def samples(self, batch: Any) -> int:
        return self.graph.nodes

    def validate(self) -> dict[str, float]:
        return {f"valid_{name}": value for name, value in self._scores(self.valid).items()}

    def test(self) -> dict[str, float]:
        return self._scores(self.held_out)

    def first_layer(self) -> list[nn.Module]:
        layers: list[nn.Module] = self.model.first_layer()
        return layers

    def _unlinked_pairs(self, count: int) -> Tensor:
        """Up to ``count`` random ordered pairs of different nodes that no training link joins."""
        nodes = self.graph.nodes
        pairs = torch.randint(nodes, (2, count))
        keys = pairs[0] * nodes + pairs[1]
        place = torch.searchsorted(self.known, keys).clamp(max=self.known.numel() - 1)
        return pairs[:, (self.known[place] != keys) & (pairs[0] != pairs[1])]

    def _scores(self, links: Links) -> dict[str, float]:
        embedding = self.model(self.graph)
        scores = torch.cat([link_logits(embedding, links.positive), link_logits(embedding, links.negative)])
        truth = torch.cat([torch.ones(links.positive.size(1)), torch.zeros(links.negative.size(1))])
        if not scores.isfinite().all():  # the run has diverged
            return {"auc": math.nan, "average_precision": math.nan}
        return {
            "auc": float(roc_auc_score(truth, scores)),
            "average_precision": float(average_precision_score(truth, scores)),
        }
