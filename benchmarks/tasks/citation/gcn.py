"""GCN (Kipf & Welling, arXiv:1609.02907): H' = Â H W with Â = D^-½ (A + I) D^-½."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.citation.config import GCNConfig
from benchmarks.tasks.citation.edges import GCNConv
from benchmarks.tasks.citation.graph import FeatureLinear, Graph, without_projection
from benchmarks.tasks.dropout import dropout
from dfa_core import Carried, ErrorTap, FeedbackPoint


class GCN(nn.Module):
    """Two graph convolutions; feedback on the hidden layer."""

    def __init__(self, config: GCNConfig, features: int, classes: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.project = FeatureLinear(features, config.hidden, bias=False, weight_initializer="glorot")
        self.conv1 = without_projection(GCNConv(config.hidden, config.hidden))
        self.conv2 = GCNConv(config.hidden, classes)
        self.point = FeedbackPoint(config.hidden, structure=Carried(self.conv2.adjoint))
        self.tap = ErrorTap(classes, independent_dims=0)

    def first_layer(self) -> list[nn.Module]:
        return [self.project, self.conv1]

    def hidden(self, graph: Graph) -> Tensor:
        """Hidden layer, ``(nodes, hidden)``."""
        return F.relu(self.conv1(self.project(graph.x), graph.edge_index))

    def forward(self, graph: Graph) -> Tensor:
        """Class scores, ``(nodes, classes)``."""
        h = dropout(self.point(self.hidden(graph)), self.dropout, self.training)
        return self.tap(self.conv2(h, graph.edge_index))
