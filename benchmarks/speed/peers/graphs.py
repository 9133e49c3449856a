"""Graph networks of PyG's own layers, as its examples build them, on dense features."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import ChebConv, DNAConv, GATConv, GCNConv

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.peers.training import Pair, our_stepper, sizes_of, step_of

Network = Callable[[Any, int, int], nn.Module]


class _TwoLayers(nn.Module):
    """Dropout, convolution, activation, dropout, convolution."""

    def __init__(self, first: nn.Module, second: nn.Module, dropout: float, activation: Any) -> None:
        super().__init__()
        self.first, self.second, self.activation = first, second, activation
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        h = self.activation(self.first(self.dropout(x), edge_index))
        return self.second(self.dropout(h), edge_index)


class _DNA(nn.Module):
    def __init__(self, size: Any, features: int, classes: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(features, size.hidden), nn.Linear(size.hidden, classes)
        self.layers = nn.ModuleList(
            DNAConv(size.hidden, size.heads, size.groups, size.attention_dropout, cached=True)
            for _ in range(size.layers)
        )
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        seen = self.dropout(F.relu(self.enter(x))).unsqueeze(1)  # (nodes, layers, hidden)
        for layer in self.layers:
            h = F.relu(layer(seen, edge_index)).unsqueeze(1)
            seen = torch.cat([seen, h], dim=1)
        return self.leave(self.dropout(seen[:, -1]))


def _gcn(size: Any, features: int, classes: int) -> nn.Module:
    first, second = GCNConv(features, size.hidden, cached=True), GCNConv(size.hidden, classes, cached=True)
    return _TwoLayers(first, second, size.dropout, F.relu)


def _cheb(size: Any, features: int, classes: int) -> nn.Module:
    first, second = ChebConv(features, size.hidden, size.order), ChebConv(size.hidden, classes, size.order)
    return _TwoLayers(first, second, size.dropout, F.relu)


def _gat(size: Any, features: int, classes: int) -> nn.Module:
    first = GATConv(features, size.hidden, size.heads, dropout=size.attention_dropout)
    second = GATConv(size.hidden * size.heads, classes, heads=1, dropout=size.attention_dropout_out)
    return _TwoLayers(first, second, size.dropout, F.elu)


def _pair(task: str, network: Network, hardware: HardwareConfig) -> Pair:
    stepper = our_stepper(task, hardware)
    settings, ours = stepper.settings, stepper.task
    graph, train = ours.graph, ours.train  # type: ignore[attr-defined]
    x = graph.x.pattern.matrix(graph.x.values).to_dense()
    model = network(sizes_of(settings), graph.x.width, graph.classes)
    labels = graph.y[train]
    loss = lambda: F.cross_entropy(model(x, graph.edge_index)[train], labels)  # noqa: E731
    return Pair(stepper.step, step_of(model, settings, loss))


#: By task: the pair of steps.
GRAPHS: dict[str, Callable[[HardwareConfig], Pair]] = {
    task: partial(_pair, task, network)
    for task, network in (
        ("citation/cheb_cora", _cheb),
        ("citation/gcn_cora", _gcn),
        ("citation/gat_cora", _gat),
        ("citation/dna_cora", _DNA),
    )
}
