"""ChebConv (Defferrard et al., arXiv:1606.09375): H' = Σ_k T_k(L̂) H W_k with Chebyshev polynomials T_k."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import ChebConv as PyGChebConv

from benchmarks.tasks.citation.config import ChebConfig
from benchmarks.tasks.citation.edges import Edges
from benchmarks.tasks.citation.graph import FeatureLinear, Features, Graph
from benchmarks.tasks.dropout import dropout
from dfa_core import Carried, ErrorTap, FeedbackPoint


class ChebConv(PyGChebConv):
    """PyG's ChebConv, projected before it is propagated.

    PyG propagates the input, all 1,433 columns of it on Cora, and then projects to the hidden width. The sum is
    linear, so the order may be changed: Clenshaw's recurrence b_k = H W_k + 2 L̂ b_{k+1} − b_{k+2} gives the same
    sum and propagates hidden-width columns only. The normalised Laplacian is computed once.
    """

    def __init__(self, in_channels: int, out_channels: int, K: int, sparse_input: bool = False) -> None:
        super().__init__(in_channels, out_channels, K)
        self._laplacian: Edges | None = None
        if sparse_input:
            self.lins = nn.ModuleList(
                FeatureLinear(in_channels, out_channels, bias=False, weight_initializer="glorot") for _ in range(K)
            )

    def forward(self, x: Tensor | Features, edge_index: Tensor, nodes: int) -> Tensor:
        """``x (nodes, in_channels)`` → ``(nodes, out_channels)``."""
        if self._laplacian is None:
            edges, weight = self.__norm__(edge_index, nodes, None, self.normalization)
            self._laplacian = Edges(edges, weight, nodes)
        above: Tensor | None = None  # b_{k+2}
        current: Tensor | None = None  # b_{k+1}
        for k in reversed(range(len(self.lins))):
            new = self.lins[k](x)
            if current is not None:
                propagated = self._laplacian.propagate(current)
                new = new + (propagated if k == 0 else 2 * propagated)
            if above is not None:
                new = new - above
            above, current = current, new
        return current + self.bias

    def adjoint(self, error: Tensor) -> list[Tensor]:
        """T_k(L̂)ᵀ e ``(nodes, channels)`` for each k, of a graph that was seen: T_k = 2 L̂ T_{k−1} − T_{k−2}."""
        assert self._laplacian is not None
        found = [error]
        for k in range(1, len(self.lins)):
            propagated = self._laplacian.propagate_back(found[-1])
            found.append(propagated if k == 1 else 2 * propagated - found[-2])
        return found


class Cheb(nn.Module):
    """Two Chebyshev convolutions; feedback on the hidden layer."""

    def __init__(self, config: ChebConfig, features: int, classes: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.conv1 = ChebConv(features, config.hidden, config.order, sparse_input=True)
        self.conv2 = ChebConv(config.hidden, classes, config.order)
        self.point = FeedbackPoint(config.hidden, structure=Carried(self.conv2.adjoint, maps=config.order))
        self.tap = ErrorTap(classes, independent_dims=0)

    def first_layer(self) -> list[nn.Module]:
        return [self.conv1]

    def hidden(self, graph: Graph) -> Tensor:
        """Hidden layer, ``(nodes, hidden)``."""
        return F.relu(self.conv1(graph.x, graph.edge_index, graph.nodes))

    def forward(self, graph: Graph) -> Tensor:
        """Class scores, ``(nodes, classes)``."""
        h = dropout(self.point(self.hidden(graph)), self.dropout, self.training)
        return self.tap(self.conv2(h, graph.edge_index, graph.nodes))
