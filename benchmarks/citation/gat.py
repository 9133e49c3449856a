"""GAT (Veličković et al., arXiv:1710.10903): neighbours weighted by attention."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv

from benchmarks.citation.config import GATConfig
from benchmarks.citation.graph import FeatureLinear, Graph, without_projection
from dfa_core import ErrorTap, FeedbackPoint


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
        self.point = FeedbackPoint(width)
        self.conv2 = GATConv(width, classes, heads=1, dropout=config.attention_dropout_out)
        self.tap = ErrorTap(classes)

    def first_layer(self) -> list[nn.Module]:
        return [self.project, self.conv1]

    def hidden(self, graph: Graph) -> Tensor:
        """Hidden layer, ``(nodes, heads · hidden)``."""
        x = graph.x.dropout(self.dropout, self.training)
        return F.elu(self.conv1(self.project(x), graph.edge_index))

    def forward(self, graph: Graph) -> Tensor:
        """Class scores, ``(nodes, classes)``."""
        h = F.dropout(self.point(self.hidden(graph)), self.dropout, self.training)
        return self.tap(self.conv2(h, graph.edge_index))
