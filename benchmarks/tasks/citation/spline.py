"""SplineCNN (Fey et al., arXiv:1711.08920): kernels that are B-splines of the edges' pseudo-coordinates.

PyG's SplineConv needs the compiled ``pyg-lib``. This one is plain PyTorch, so a result does not depend on whether
an optional binary is installed, and it takes sparse features.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import inits

from benchmarks.tasks.citation.config import SplineConfig
from benchmarks.tasks.citation.graph import FeatureLinear, Features, Graph, target_indegree
from benchmarks.tasks.citation.sparse import Pattern, spmm
from benchmarks.tasks.dropout import dropout
from dfa_core import Carried, ErrorTap, FeedbackPoint, derived_weight


def open_spline_basis(pseudo: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
    """Open B-spline basis of degree 1 at pseudo-coordinates in [0, 1].

    Args:
        pseudo: ``(edges, dim)``.
        kernel_size: knots per dimension, at least 2.

    Returns:
        basis, kernel: for each edge the 2^dim nonzero basis products and the kernels they weigh, ``(edges, 2^dim)``
        each; kernel indices run over ``kernel_size^dim``, first dimension fastest. The basis sums to 1.
    """
    position = pseudo.clamp(0, 1) * (kernel_size - 1)
    lower = position.floor().clamp(max=kernel_size - 2)
    fraction = position - lower
    strides = kernel_size ** torch.arange(pseudo.size(1))
    basis, kernel = [], []
    for corner in itertools.product((0, 1), repeat=pseudo.size(1)):
        upper = torch.tensor(corner, dtype=torch.bool)
        basis.append(torch.where(upper, fraction, 1 - fraction).prod(1))
        kernel.append(((lower.long() + upper) * strides).sum(1))
    return torch.stack(basis, 1), torch.stack(kernel, 1)


class SplineConv(nn.Module):
    """out_i = mean_j Σ_p B_p(u_ij) W_p x_j + W_root x_i + b, over the neighbours j of i.

    The input is projected by every kernel once per node, then mixed along the edges in one sparse product. A layer
    is for one graph, as with PyG's ``cached=True``.

    Args:
        in_channels, out_channels: widths.
        dim: dimensions of the pseudo-coordinates.
        kernel_size: knots per dimension.
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(kernel_size**dim, in_channels, out_channels))
        self.lin = FeatureLinear(in_channels, out_channels, bias=False, weight_initializer="uniform")
        self.bias = nn.Parameter(torch.zeros(out_channels))
        inits.uniform(self.weight.size(0) * in_channels, self.weight)
        self._mix: tuple[Pattern, Tensor] | None = None  # of the one graph that this layer is for

    def forward(self, x: Tensor | Features, edge_index: Tensor, pseudo: Tensor) -> Tensor:
        """``x (nodes, in_channels)``, ``pseudo (edges, dim)`` → ``(nodes, out_channels)``."""
        kernels, _, out = self.weight.shape
        weight = derived_weight(_side_by_side, self.weight)  # (in_channels, kernels · out)
        if isinstance(x, Features):
            projected, root = spmm(x.pattern, x.values, weight), self.lin(x)
        else:
            projected, root = x @ weight, F.linear(x, self.lin.weight)
        if self._mix is None:
            self._mix = _mixing(edge_index, pseudo, self.kernel_size, kernels, root.size(0))
        return spmm(*self._mix, projected.view(-1, out)) + root + self.bias

    def adjoint(self, error: Tensor) -> list[Tensor]:
        """The transposes of all maps between nodes, one for each kernel and the root, ``(nodes, channels)`` each."""
        assert self._mix is not None
        pattern, values = self._mix
        by_kernel = (pattern.transposed(values) @ error).view(error.size(0), -1, error.size(1))
        return [*by_kernel.unbind(1), error]


def _side_by_side(weight: Tensor) -> Tensor:
    return weight.transpose(0, 1).reshape(weight.size(1), -1)


def _mixing(edge_index: Tensor, pseudo: Tensor, kernel_size: int, kernels: int, nodes: int) -> tuple[Pattern, Tensor]:
    """The mean over neighbours and kernels as a sparse matrix: rows target, columns (source, kernel)."""
    basis, kernel = open_spline_basis(pseudo, kernel_size)
    source, target = edge_index
    degree = torch.bincount(target, minlength=nodes)
    column = source.unsqueeze(1) * kernels + kernel  # (edges, 2^dim)
    row = target.unsqueeze(1).expand_as(column)
    values = basis / degree[target].unsqueeze(1)
    order = torch.argsort((row * (nodes * kernels) + column).flatten())
    row, column, values = (t.flatten()[order] for t in (row, column, values))
    return Pattern(row, column, (nodes, nodes * kernels)), values


class Spline(nn.Module):
    """Two spline convolutions; feedback on the hidden layer."""

    def __init__(self, config: SplineConfig, features: int, classes: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.conv1 = SplineConv(features, config.hidden, dim=1, kernel_size=config.kernel_size)
        self.conv2 = SplineConv(config.hidden, classes, dim=1, kernel_size=config.kernel_size)
        maps = config.kernel_size + 1
        self.point = FeedbackPoint(config.hidden, structure=Carried(self.conv2.adjoint, maps))
        self.tap = ErrorTap(classes, independent_dims=0)

    def first_layer(self) -> list[nn.Module]:
        return [self.conv1]

    def hidden(self, graph: Graph) -> Tensor:
        """Hidden layer, ``(nodes, hidden)``."""
        x = graph.x.dropout(self.dropout, self.training)
        return F.elu(self.conv1(x, graph.edge_index, target_indegree(graph)))

    def forward(self, graph: Graph) -> Tensor:
        """Class scores, ``(nodes, classes)``."""
        h = dropout(self.point(self.hidden(graph)), self.dropout, self.training)
        return self.tap(self.conv2(h, graph.edge_index, target_indegree(graph)))
