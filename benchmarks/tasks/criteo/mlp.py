"""The multi-layer perceptron that all four hybrids have."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from benchmarks.tasks.criteo.config import MLPConfig
from benchmarks.tasks.dropout import relu_then_dropout
from dfa_core import FeedbackPoint


class MLP(nn.Module):
    """Hidden layers, ``(batch, inputs)`` → ``(batch, hidden)``: linear map, batch norm, ReLU, dropout, feedback point.

    The linear maps have no bias: batch norm would subtract it again.
    """

    def __init__(self, inputs: int, config: MLPConfig) -> None:
        super().__init__()
        widths = [inputs] + [config.hidden] * config.layers
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(config.hidden) for _ in self.linears)
        self.points = nn.ModuleList(FeedbackPoint(config.hidden) for _ in self.linears)
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        for linear, norm, point in zip(self.linears, self.norms, self.points, strict=True):
            x = point(relu_then_dropout(norm(linear(x)), self.dropout, self.training))
        return x
