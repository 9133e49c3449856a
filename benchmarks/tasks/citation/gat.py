"""GAT (Veličković et al., arXiv:1710.10903): neighbours weighted by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv as PyGGATConv

from benchmarks.tasks.citation.config import GATConfig
from benchmarks.tasks.citation.edges import Edges
from benchmarks.tasks.citation.graph import FeatureLinear, Graph, without_projection
from benchmarks.tasks.citation.sparse import spmm
from benchmarks.tasks.dropout import dropout
from dfa_core import Carried, ErrorTap, FeedbackPoint, derived_weight


class GATConv(PyGGATConv):
    """PyG's GATConv, with the weighted sum over neighbours of all heads as one sparse product. For one graph."""

    def __init__(self, in_channels: int, out_channels: int, heads: int, dropout: float) -> None:
        super().__init__(in_channels, out_channels, heads, dropout=dropout)
        self._edges: Edges | None = None

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """``x (nodes, in_channels)`` → ``(nodes, heads · out_channels)``."""
        nodes, heads = x.size(0), self.heads
        if self._edges is None:
            self._edges = Edges.normalised(edge_index, nodes)
        edges = self._edges
        x = self.lin(x).view(nodes, heads, self.out_channels).transpose(0, 1)  # (heads, nodes, channels)
        attention = derived_weight(_stacked, self.att_dst, self.att_src)  # (heads, channels, 2)
        to, fro = torch.bmm(x, attention).unbind(-1)  # (heads, nodes) each
        scores = to.index_select(1, edges.target) + fro.index_select(1, edges.source)
        scores = F.leaky_relu(scores, self.negative_slope)  # (heads, edges)
        # The softmax over each node's neighbours, shifted by its largest score; the shift cancels.
        target = edges.target.expand(heads, -1)
        largest = torch.full_like(to, -torch.inf).scatter_reduce(1, target, scores.detach(), "amax")
        weights = (scores - largest.gather(1, target)).exp()
        total = torch.zeros_like(to).index_add(1, edges.target, weights)
        weights = dropout(weights, self.dropout, self.training)
        x = x.reshape(heads * nodes, self.out_channels)
        out = spmm(edges.pattern(heads), weights.flatten(), x).view(heads, nodes, -1) / total.unsqueeze(-1)
        return out.transpose(0, 1).reshape(nodes, -1) + self.bias

    def adjoint(self, error: Tensor) -> list[Tensor]:
        """Âᵀ e ``(nodes, channels)`` of a graph that was seen: the same neighbours, weighted without attention."""
        assert self._edges is not None
        return [self._edges.propagate_back(error)]


def _stacked(to: Tensor, fro: Tensor) -> Tensor:
    return torch.stack([to[0], fro[0]], dim=-1)


class GAT(nn.Module):
    """Two attention convolutions, the second with one head; feedback on the hidden layer."""

    def __init__(self, config: GATConfig, features: int, classes: int) -> None:
        super().__init__()
        width = config.hidden * config.heads
        self.dropout = config.dropout
        self.project = FeatureLinear(features, width, bias=False, weight_initializer="glorot")
        self.conv1 = without_projection(
            GATConv(width, config.hidden, heads=config.heads, dropout=config.attention_dropout)
        )
        self.conv2 = GATConv(width, classes, heads=1, dropout=config.attention_dropout_out)
        self.point = FeedbackPoint(width, structure=Carried(self.conv2.adjoint))
        self.tap = ErrorTap(classes, independent_dims=0)

    def first_layer(self) -> list[nn.Module]:
        return [self.project, self.conv1]

    def hidden(self, graph: Graph) -> Tensor:
        """Hidden layer, ``(nodes, heads · hidden)``."""
        x = graph.x.dropout(self.dropout, self.training)
        return F.elu(self.conv1(self.project(x), graph.edge_index))

    def forward(self, graph: Graph) -> Tensor:
        """Class scores, ``(nodes, classes)``."""
        h = dropout(self.point(self.hidden(graph)), self.dropout, self.training)
        return self.tap(self.conv2(h, graph.edge_index))
