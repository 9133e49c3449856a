"""Small graphs for the tests of the citation domain."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from benchmarks.tasks.citation.graph import Graph


def sample_data(nodes: int = 14, features: int = 9, classes: int = 3, seed: int = 0) -> Data:
    """A graph with what is awkward: node 0 has no edge, node 1 no features, and nobody has the last feature."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(1, nodes, (2, 2 * nodes), generator=generator)
    edge_index = to_undirected(ends[:, ends[0] != ends[1]])
    x = torch.rand(nodes, features, generator=generator)
    x = x * (torch.rand(nodes, features, generator=generator) < 0.4)
    x[1], x[:, -1] = 0, 0
    y = torch.arange(nodes) % classes
    return Data(x=x, edge_index=edge_index, y=y)


def sample_graph(**options: int) -> Graph:
    return Graph.of(sample_data(**options), normalize=False)


def adjacency(graph: Graph, self_loops: bool = True) -> Tensor:
    """Dense A (+ I): entry (i, j) is 1 where j is a neighbour of i."""
    dense = torch.zeros(graph.nodes, graph.nodes)
    dense[graph.edge_index[1], graph.edge_index[0]] = 1
    return dense + torch.eye(graph.nodes) if self_loops else dense


def normalized_adjacency(graph: Graph) -> Tensor:
    """D^-½ (A + I) D^-½, dense."""
    dense = adjacency(graph)
    scale = dense.sum(1).rsqrt()
    return scale.unsqueeze(1) * dense * scale


def randomize(module: nn.Module, seed: int = 5) -> None:
    """Give every parameter entries of its own; biases that start at zero would hide where they are added."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            values = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(values / max(1, parameter.shape[-1]) ** 0.5)


def gradients_of(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of a loss that weighs every output differently."""
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return torch.autograd.grad((out * weights).sum(), inputs)
