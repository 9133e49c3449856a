"""Factorization machine (Rendle 2010): all pairwise interactions, as inner products of embeddings."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.tasks.criteo.config import FMConfig
from benchmarks.tasks.criteo.fields import Fields, LinearTerms, embedding_table
from dfa_core import ErrorTap


class FM(nn.Module):
    """The shallow baseline: linear terms and pairwise interactions. No hidden layer, so no feedback point."""

    def __init__(self, config: FMConfig, fields: Fields) -> None:
        super().__init__()
        self.embedding = embedding_table(fields, config.embedding)
        self.linear = LinearTerms(fields, config.linear_std)
        self.tap = ErrorTap(1)

    def forward(self, feature_ids: Tensor) -> Tensor:
        """Logits of ``feature_ids (batch, fields)``, ``(batch,)``."""
        logit = self.linear(feature_ids) + pairwise_interactions(self.embedding(feature_ids))
        return self.tap(logit).squeeze(1)


def pairwise_interactions(embedded: Tensor) -> Tensor:
    """Σ_{f<g} ⟨e_f, e_g⟩ of ``(batch, fields, width)``, ``(batch, 1)``.

    ½ (‖Σ e_f‖² − Σ ‖e_f‖²), linear in the number of fields (Rendle 2010, lemma 3.1).
    """
    of_sum = embedded.sum(1).square().sum(1)
    sum_of = embedded.square().sum((1, 2))
    return 0.5 * (of_sum - sum_of).unsqueeze(1)
