"""AutoInt (Song et al., arXiv:1810.11921): the fields of a sample attend to each other."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.criteo.config import AutoIntConfig
from benchmarks.tasks.criteo.fields import Fields, LinearTerms, embedding_table
from benchmarks.tasks.criteo.mlp import MLP
from dfa_core import ErrorTap, FeedbackPoint


class FieldAttention(nn.MultiheadAttention):
    """Self-attention of a sample's fields, ``(batch, fields, width)`` → the same: PyTorch's layer and its parameters.

    PyTorch's own forward pass copies queries, keys and values apart and fills zeros around their gradients, which took
    a third of AutoInt's step.
    """

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # queries, keys and values are of one tensor
        together = F.linear(x, self.in_proj_weight, self.in_proj_bias).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = together.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, heads, fields, size) each
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        found: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return found


class AutoInt(nn.Module):
    """Linear terms + self-attention over the fields + MLP (the paper's AutoInt+).

    As in the code that the DFA paper builds on, the embeddings are projected to the attention's width first, and one
    residual connection spans all attention layers. Feedback on the embeddings, their projection, every attention layer
    but the last, the sum after the residual connection, and the MLP's layers; backprop inside an attention layer.
    """

    def __init__(self, config: AutoIntConfig, fields: Fields) -> None:
        super().__init__()
        shape = (fields.count, config.attention)
        self.embedding = embedding_table(fields, config.embedding)
        self.embedding_point = FeedbackPoint((fields.count, config.embedding))
        self.linear = LinearTerms(fields, config.linear_std)
        self.project = nn.Linear(config.embedding, config.attention)
        self.project_point = FeedbackPoint(shape)
        self.attention = nn.ModuleList(
            FieldAttention(config.attention, config.heads, config.dropout) for _ in range(config.attention_layers)
        )
        self.attention_points = nn.ModuleList(FeedbackPoint(shape) for _ in range(config.attention_layers - 1))
        self.residual = nn.Linear(config.embedding, config.attention)
        self.cross_point = FeedbackPoint(fields.count * config.attention)
        self.cross_head = nn.Linear(fields.count * config.attention, 1)
        self.mlp = MLP(fields.count * config.embedding, config)
        self.head = nn.Linear(config.hidden, 1)
        self.tap = ErrorTap(1)

    def forward(self, feature_ids: Tensor) -> Tensor:
        """Logits of ``feature_ids (batch, fields)``, ``(batch,)``."""
        e = self.embedding_point(self.embedding(feature_ids))  # (batch, fields, embedding)
        x = self.project_point(self.project(e))  # (batch, fields, attention)
        for layer, point in zip(self.attention, [*self.attention_points, nn.Identity()], strict=True):
            x = point(layer(x))
        x = self.cross_point(F.relu(x + self.residual(e)).flatten(1))  # (batch, fields · attention)
        logit = self.linear(feature_ids) + self.cross_head(x) + self.head(self.mlp(e.flatten(1)))
        return self.tap(logit).squeeze(1)
