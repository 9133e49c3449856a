"""Deep & Cross Network (Wang et al., arXiv:1708.05123): explicit feature crossing beside an MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.tasks.criteo.config import DCNConfig
from benchmarks.tasks.criteo.fields import Fields, embedding_table
from benchmarks.tasks.criteo.mlp import MLP
from dfa_core import ErrorTap, FeedbackPoint


class CrossLayer(nn.Module):
    """x_{l+1} = x_0 (x_lᵀ w_l) + b_l + x_l, ``(batch, width)`` (equation 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        return torch.addcmul(x + self.bias, x0, self.weight(x))


class DCN(nn.Module):
    """Cross layers and MLP side by side on the embeddings; one linear layer on both.

    Feedback on the embeddings, after every cross layer but the last, after every MLP layer, and on the stacked
    vector, through which the last cross layer learns.
    """

    def __init__(self, config: DCNConfig, fields: Fields) -> None:
        super().__init__()
        width = fields.count * config.embedding
        self.embedding = embedding_table(fields, config.embedding)
        self.embedding_point = FeedbackPoint(width)
        self.cross = nn.ModuleList(CrossLayer(width) for _ in range(config.cross_layers))
        self.cross_points = nn.ModuleList(FeedbackPoint(width) for _ in range(config.cross_layers - 1))
        self.mlp = MLP(width, config)
        self.stack_point = FeedbackPoint(width + config.hidden)
        self.head = nn.Linear(width + config.hidden, 1)
        self.tap = ErrorTap(1)

    def forward(self, feature_ids: Tensor) -> Tensor:
        """Logits of ``feature_ids (batch, fields)``, ``(batch,)``."""
        x0 = self.embedding_point(self.embedding(feature_ids).flatten(1))  # (batch, fields · embedding)
        x = x0
        for layer, point in zip(self.cross, [*self.cross_points, nn.Identity()], strict=True):
            x = point(layer(x0, x))
        stack = self.stack_point(torch.cat([x, self.mlp(x0)], dim=1))  # (batch, fields · embedding + hidden)
        return self.tap(self.head(stack)).squeeze(1)
