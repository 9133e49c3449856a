"""DNA (Fey, arXiv:1904.04849): each node attends, per neighbour, to all earlier layers of that neighbour."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import DNAConv as PyGDNAConv

from benchmarks.tasks.citation.config import DNAConfig
from benchmarks.tasks.citation.edges import Edges
from benchmarks.tasks.citation.graph import FeatureLinear, Graph
from benchmarks.tasks.citation.sparse import sddmm, spmm
from benchmarks.tasks.dropout import dropout, relu_then_dropout
from dfa_core import Carried, ErrorTap, FeedbackPoint, derived_weight


class DNAConv(PyGDNAConv):
    """PyG's DNAConv, with the same parameters and output, that never holds a tensor of edges × layers × channels.

    PyG gathers all layers of both ends of every edge and projects them there. Here queries, keys and values are
    projected once per node. The attention of all heads is then one sparse matrix, (heads · nodes) rows by
    (heads · nodes · layers) columns with one entry per head, edge and layer: its scores are an SDDMM, the weighted
    sum over neighbours and layers an SpMM. Everything stays ordered by head, so nothing is transposed on the way;
    that needs each head's channels to be whole groups.
    """

    def __init__(self, channels: int, heads: int, groups: int, dropout: float) -> None:
        if channels % groups or groups % heads:
            raise ValueError(
                f"DNA with hidden={channels}, heads={heads}, groups={groups}: "
                "hidden must be a multiple of groups, and groups a multiple of heads"
            )
        super().__init__(channels, heads, groups, dropout)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """``x (heads, nodes, layers, width)`` → ``(nodes, heads · width)``."""
        heads, nodes, layers, width = x.shape
        attention = self.multi_head
        pattern = edges.pattern(heads, layers)
        query = _project(x[:, :, -1], attention.lin_q)  # (heads · nodes, width)
        key = _project(x.flatten(1, 2), attention.lin_k)  # (heads · nodes · layers, width)
        value = _project(x.flatten(1, 2), attention.lin_v)

        scores = sddmm(pattern, query, key).view(-1, layers) / math.sqrt(width)
        weights = dropout(_restricted_softmax(scores), attention.dropout, self.training)
        weights = weights.view(heads, -1, layers) * edges.weight.view(1, -1, 1)
        out = spmm(pattern, weights.reshape(-1), value)  # (heads · nodes, width)
        return out.view(heads, nodes, width).transpose(0, 1).reshape(nodes, heads * width)


def _project(x: Tensor, linear: Any) -> Tensor:
    """PyG's grouped linear map on ``x (heads, rows, width)`` → ``(heads · rows, width)``.

    The groups of a head form one block-diagonal (width × width) matrix.
    """
    heads, _, width = x.shape
    weight = derived_weight(partial(_block_diagonal, heads), linear.weight)  # (heads, width, width)
    return torch.baddbmm(linear.bias.view(heads, 1, width), x, weight).view(-1, width)


def _block_diagonal(heads: int, weight: Tensor) -> Tensor:
    blocks = weight.view(heads, -1, *weight.shape[1:])  # (heads, groups per head, size, size)
    return torch.stack([torch.block_diag(*head) for head in blocks])


def _restricted_softmax(scores: Tensor) -> Tensor:
    """Softmax over the last dim and one further entry of score 0, so that a node may attend to nothing."""
    # Written out: with so few layers the fused softmax is slower. The shift cancels, so it needs no gradient.
    shift = scores.detach().amax(-1, keepdim=True).clamp(min=0)
    exponentials = (scores - shift).exp()
    return exponentials / (exponentials.sum(-1, keepdim=True) + (-shift).exp())


class DNA(nn.Module):
    """Input layer, a stack of DNA convolutions, output layer; feedback after the input layer and every convolution."""

    def __init__(self, config: DNAConfig, features: int, classes: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.heads = config.heads
        self.log_softmax_tap = config.tap == "log_softmax"
        self.lin1 = FeatureLinear(features, config.hidden)
        self.point_in = self._point(config, config.layers)
        self.convs = nn.ModuleList(
            DNAConv(config.hidden, config.heads, config.groups, config.attention_dropout) for _ in range(config.layers)
        )
        self.points = nn.ModuleList(self._point(config, config.layers - 1 - layer) for layer in range(config.layers))
        self.lin2 = nn.Linear(config.hidden, classes)
        self.tap = ErrorTap(classes, independent_dims=0)
        self._edges: Edges | None = None

    def _point(self, config: DNAConfig, hops: int) -> FeedbackPoint:
        """A feedback point ``hops`` convolutions below the output layer."""
        return FeedbackPoint(config.hidden, structure=Carried(partial(self._carried, hops)))

    def _carried(self, hops: int, error: Tensor) -> list[Tensor]:
        """(Âᵀ)^hops e ``(nodes, classes)``: one step over the edges for each convolution, without attention."""
        assert self._edges is not None
        for _ in range(hops):
            error = self._edges.propagate_back(error)
        return [error]

    def first_layer(self) -> list[nn.Module]:
        return [self.lin1]

    def forward(self, graph: Graph) -> Tensor:
        """Class scores (log-probabilities if the tap is there), ``(nodes, classes)``."""
        if self._edges is None:
            self._edges = Edges.normalised(graph.edge_index, graph.nodes)
        x = relu_then_dropout(self.lin1(graph.x), self.dropout, self.training)
        stack = self._by_head(self.point_in(x))  # (heads, nodes, layers so far, width)
        for conv, point in zip(self.convs, self.points, strict=True):
            x = point(F.relu(conv(stack, self._edges)))
            stack = torch.cat([stack, self._by_head(x)], dim=2)
        x = self.lin2(dropout(x, self.dropout, self.training))
        return self.tap(F.log_softmax(x, dim=1) if self.log_softmax_tap else x)

    def _by_head(self, x: Tensor) -> Tensor:
        """``(nodes, hidden)`` → ``(heads, nodes, 1, width)``."""
        return x.view(x.size(0), self.heads, 1, -1).transpose(0, 1)
