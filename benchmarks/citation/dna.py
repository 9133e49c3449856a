"""DNA (Fey, arXiv:1904.04849): each node attends, per neighbour, to all earlier layers of that neighbour."""

from __future__ import annotations

import math
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import DNAConv as PyGDNAConv
from torch_geometric.nn.conv.dna_conv import restricted_softmax
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from benchmarks.citation.config import DNAConfig
from benchmarks.citation.graph import FeatureLinear, Graph
from benchmarks.citation.sparse import Pattern, sddmm, spmm
from dfa_core import ErrorTap, FeedbackPoint


class DNAConv(PyGDNAConv):
    """PyG's DNAConv, with the same parameters and output, that never holds a tensor of edges × layers × channels.

    PyG gathers all layers of both ends of every edge and projects them there. Here queries, keys and values are
    projected once per node. The attention of all heads is then one sparse matrix, (heads · nodes) rows by
    (heads · nodes · layers) columns with one entry per head, edge and layer: its scores are an SDDMM, the weighted
    sum over neighbours and layers an SpMM.
    """

    def forward(self, x: Tensor, edges: AttentionEdges) -> Tensor:
        """``x (nodes, layers, channels)`` → ``(nodes, channels)``."""
        nodes, layers, channels = x.shape
        attention = self.multi_head
        heads, width = attention.heads, channels // attention.heads
        pattern = edges.pattern(heads, layers)

        query = attention.lin_q(x[:, -1:]).view(nodes, heads, width)
        key = attention.lin_k(x).view(nodes, layers, heads, width)
        value = attention.lin_v(x).view(nodes, layers, heads, width)
        query = query.transpose(0, 1).reshape(-1, width)  # (heads · nodes, width)
        key = key.permute(2, 0, 1, 3).reshape(-1, width)  # (heads · nodes · layers, width)
        value = value.permute(2, 0, 1, 3).reshape(-1, width)

        scores = sddmm(pattern, query, key) / math.sqrt(width)
        weights = restricted_softmax(scores.view(-1, layers), dim=-1)  # (heads · edges, layers)
        weights = F.dropout(weights, attention.dropout, self.training)
        weights = weights.view(heads, -1, layers) * edges.norm.view(1, -1, 1)
        out = spmm(pattern, weights.reshape(-1), value)  # (heads · nodes, width)
        return out.view(heads, nodes, width).transpose(0, 1).reshape(nodes, channels)


class AttentionEdges:
    """A graph's edges with self loops, as the sparsity patterns of :class:`DNAConv`, one per number of layers.

    Attributes:
        norm: D^-½ (A + I) D^-½ on the edges, ``(edges,)``, ordered by (target, source).
    """

    def __init__(self, edge_index: Tensor, nodes: int) -> None:
        edge_index, norm = gcn_norm(edge_index, None, nodes)
        order = torch.argsort(edge_index[1] * nodes + edge_index[0])
        self.source, self.target = edge_index[:, order]
        self.norm = norm[order]
        self.nodes = nodes
        self._patterns: dict[tuple[int, int], Pattern] = {}

    def pattern(self, heads: int, layers: int) -> Pattern:
        """Rows (head, target), columns (head, source, layer): every head attends within itself only."""
        if (heads, layers) not in self._patterns:
            head = torch.arange(heads).view(-1, 1, 1)
            layer = torch.arange(layers).view(1, 1, -1)
            row = (head * self.nodes + self.target.view(1, -1, 1)).expand(-1, -1, layers)
            column = (head * self.nodes + self.source.view(1, -1, 1)) * layers + layer
            shape = (heads * self.nodes, heads * self.nodes * layers)
            self._patterns[heads, layers] = Pattern(row.reshape(-1), column.reshape(-1), shape)
        return self._patterns[heads, layers]


class DNA(nn.Module):
    """Input layer, a stack of DNA convolutions, output layer; feedback after the input layer and every convolution."""

    def __init__(self, config: DNAConfig, features: int, classes: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.log_softmax_tap = config.tap == "log_softmax"
        if config.tap not in ("scores", "log_softmax"):
            raise ValueError(f"task.model.tap='{config.tap}': choose scores or log_softmax")
        self.lin1 = FeatureLinear(features, config.hidden)
        self.point_in = FeedbackPoint(config.hidden)
        self.convs = nn.ModuleList(
            DNAConv(config.hidden, config.heads, config.groups, dropout=config.attention_dropout)
            for _ in range(config.layers)
        )
        self.points = nn.ModuleList(FeedbackPoint(config.hidden) for _ in range(config.layers))
        self.lin2 = nn.Linear(config.hidden, classes)
        self.tap = ErrorTap(classes)
        self._edges: AttentionEdges | None = None

    def first_layer(self) -> list[nn.Module]:
        return [self.lin1]

    def forward(self, graph: Graph) -> Tensor:
        """Class scores (log-probabilities if the tap is there), ``(nodes, classes)``."""
        if self._edges is None:
            self._edges = AttentionEdges(graph.edge_index, graph.nodes)
        x = F.dropout(F.relu(self.lin1(graph.x)), self.dropout, self.training)
        stack = self.point_in(x).unsqueeze(1)  # (nodes, layers so far, hidden)
        for conv, point in zip(self.convs, self.points, strict=True):
            x = point(F.relu(conv(stack, self._edges)))
            stack = torch.cat([stack, x.unsqueeze(1)], dim=1)
        x = self.lin2(F.dropout(x, self.dropout, self.training))
        return self.tap(F.log_softmax(x, dim=1) if self.log_softmax_tap else x)
