"""A graph's edges as sparsity patterns: what the convolutions multiply by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.nn import GCNConv as PyGGCNConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from benchmarks.tasks.citation.sparse import Pattern, spmm


class Edges:
    """Edges ordered by (target, source), each once, and the patterns that belong to them.

    Attributes:
        source, target: ``(edges,)``.
        weight: ``(edges,)``, in the same order.
    """

    def __init__(self, edge_index: Tensor, weight: Tensor, nodes: int) -> None:
        order = torch.argsort(edge_index[1] * nodes + edge_index[0])
        self.source, self.target = edge_index[:, order]
        self.weight = weight[order]
        self.nodes = nodes
        self._patterns: dict[tuple[int, int], Pattern] = {}

    @classmethod
    def normalised(cls, edge_index: Tensor, nodes: int) -> Edges:
        """With self loops, weighted by D^-½ (A + I) D^-½."""
        edges, weight = gcn_norm(edge_index, None, nodes)
        return cls(edges, weight, nodes)

    def pattern(self, heads: int = 1, layers: int = 1) -> Pattern:
        """Rows (head, target), columns (head, source, layer): every head works within itself only."""
        if (heads, layers) not in self._patterns:
            head = torch.arange(heads).view(-1, 1, 1)
            layer = torch.arange(layers).view(1, 1, -1)
            row = (head * self.nodes + self.target.view(1, -1, 1)).expand(-1, -1, layers)
            column = (head * self.nodes + self.source.view(1, -1, 1)) * layers + layer
            shape = (heads * self.nodes, heads * self.nodes * layers)
            self._patterns[heads, layers] = Pattern(row.reshape(-1), column.reshape(-1), shape)
        return self._patterns[heads, layers]

    def propagate(self, x: Tensor) -> Tensor:
        """Weighted sum over the neighbours: ``(nodes, channels) → (nodes, channels)``."""
        return spmm(self.pattern(), self.weight, x)

    def propagate_back(self, x: Tensor) -> Tensor:
        """The transpose of :meth:`propagate`: ``(nodes, channels) → (nodes, channels)``."""
        return self.pattern().transposed(self.weight) @ x


class GCNConv(PyGGCNConv):
    """PyG's GCNConv, with the sum over neighbours as one sparse product. For one graph, as with ``cached=True``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self._edges: Edges | None = None

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """``x (nodes, in_channels)`` → ``(nodes, out_channels)``."""
        if self._edges is None:
            self._edges = Edges.normalised(edge_index, x.size(0))
        return self._edges.propagate(self.lin(x)) + self.bias

    def adjoint(self, error: Tensor) -> list[Tensor]:
        """Âᵀ e ``(nodes, channels)`` of a graph that was seen."""
        assert self._edges is not None
        return [self._edges.propagate_back(error)]
