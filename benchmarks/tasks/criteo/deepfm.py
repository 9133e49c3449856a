"""DeepFM (Guo et al., arXiv:1703.04247): a factorization machine and an MLP on the same embeddings."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.tasks.criteo.config import DeepFMConfig
from benchmarks.tasks.criteo.fields import Detach, Fields, LinearTerms, embedding_table
from benchmarks.tasks.criteo.fm import pairwise_interactions
from benchmarks.tasks.criteo.mlp import MLP
from dfa_core import ErrorTap


class DeepFM(nn.Module):
    """Linear terms + pairwise interactions + MLP; feedback on the MLP's layers.

    With ``detach`` the embeddings learn through the interactions alone, as in the paper under feedback methods.
    """

    def __init__(self, config: DeepFMConfig, fields: Fields) -> None:
        super().__init__()
        self.embedding = embedding_table(fields, config.embedding)
        self.linear = LinearTerms(fields, config.linear_std)
        self.to_mlp = Detach() if config.detach else nn.Identity()
        self.mlp = MLP(fields.count * config.embedding, config)
        self.head = nn.Linear(config.hidden, 1)
        self.tap = ErrorTap(1)

    def forward(self, feature_ids: Tensor) -> Tensor:
        """Logits of ``feature_ids (batch, fields)``, ``(batch,)``."""
        e = self.embedding(feature_ids)  # (batch, fields, embedding)
        deep = self.head(self.mlp(self.to_mlp(e).flatten(1)))  # (batch, 1)
        logit = self.linear(feature_ids) + pairwise_interactions(e) + deep
        return self.tap(logit).squeeze(1)
