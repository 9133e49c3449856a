"""The graph a citation model runs on: sparse bag-of-words features, edges, labels, splits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.dense.linear import Linear
from torch_geometric.transforms import NormalizeFeatures

from benchmarks.tasks.citation.sparse import Pattern, spmm
from benchmarks.tasks.dropout import dropout


@dataclass(frozen=True)
class Features:
    """Node features ``(nodes, features)``, of which only the nonzeros are kept (1% on Cora, 10% on PubMed)."""

    pattern: Pattern
    values: Tensor  # (nonzeros,)

    @classmethod
    def of(cls, dense: Tensor) -> Features:
        """From a dense ``(nodes, features)`` matrix."""
        row, column = dense.nonzero(as_tuple=True)
        return cls(Pattern(row, column, (dense.size(0), dense.size(1))), dense[row, column])

    @property
    def width(self) -> int:
        """Features per node."""
        return self.pattern.shape[1]

    def dropout(self, p: float, training: bool) -> Features:
        """Dropout of the entries. The zeros need none, which makes it as exact as on the dense matrix."""
        return Features(self.pattern, dropout(self.values, p, training))


class FeatureLinear(Linear):
    """PyG's ``Linear`` on sparse :class:`Features`: ``X Wᵀ + b``, ``(nodes, out_channels)``."""

    def forward(self, x: Features) -> Tensor:
        out = spmm(x.pattern, x.values, self.weight.t())
        return out if self.bias is None else out + self.bias


def without_projection(conv: nn.Module) -> nn.Module:
    """``conv`` with its linear map switched off, for inputs that a :class:`FeatureLinear` has projected already."""
    conv.lin = nn.Identity()
    return conv


@dataclass(frozen=True)
class Graph:
    """One citation graph, as the models take it."""

    x: Features
    edge_index: Tensor  # (2, edges), both directions, no self loops
    y: Tensor  # (nodes,)
    classes: int

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.y.numel()

    @classmethod
    def of(cls, data: Data, normalize: bool) -> Graph:
        """From PyG's ``Data``; ``normalize``: rows of the features sum to one (where they sum to more)."""
        if normalize:
            data = NormalizeFeatures()(data.clone())
        return cls(Features.of(data.x), data.edge_index, data.y, int(data.y.max()) + 1)


def target_indegree(graph: Graph) -> Tensor:
    """Pseudo-coordinate of each edge for SplineConv: in-degree of its target over the largest one, ``(edges, 1)``."""
    target = graph.edge_index[1]
    degree = torch.bincount(target, minlength=graph.nodes).float()
    return (degree[target] / degree.max()).unsqueeze(1)
