"""AFN (Cheng et al., arXiv:1909.03276): interactions of any order, which orders being learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.criteo.config import AFNConfig
from benchmarks.tasks.criteo.fields import Detach, Fields, LinearTerms, embedding_table
from benchmarks.tasks.criteo.mlp import MLP
from dfa_core import ErrorTap, FeedbackPoint


class LogarithmicLayer(nn.Module):
    """Π_f (1 + |e_f|)^{w_jf} − 1 for neurons j, rectified: ``(batch, fields, width)`` → ``(batch, width · neurons)``.

    A product of powers is the exponential of a linear map of logarithms (equation 4); with log(1 + |e|) in place of
    log(e), as in the code that the DFA paper builds on, it has no singularity.
    """

    def __init__(self, fields: int, neurons: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(fields)
        self.weight = nn.Parameter(torch.empty(neurons, fields).uniform_(-bound, bound))

    def forward(self, e: Tensor) -> Tensor:
        orders = F.linear(e.abs().log1p().transpose(1, 2), self.weight)  # (batch, width, neurons)
        return F.relu(orders.expm1()).flatten(1)


class AFN(nn.Module):
    """Linear terms + MLP on logarithmic neurons; feedback on the embeddings, these neurons, and the MLP's layers.

    The released code cut at the embeddings and fed nothing back to them, so they stayed as they were drawn;
    ``frozen_embeddings`` repeats that (with any method).
    """

    def __init__(self, config: AFNConfig, fields: Fields) -> None:
        super().__init__()
        self.embedding = embedding_table(fields, config.embedding)
        shape = (fields.count, config.embedding)
        self.embedding_point = Detach() if config.frozen_embeddings else FeedbackPoint(shape)
        self.linear = LinearTerms(fields, config.linear_std)
        self.logarithmic = LogarithmicLayer(fields.count, config.neurons)
        self.logarithmic_point = FeedbackPoint(config.embedding * config.neurons)
        self.mlp = MLP(config.embedding * config.neurons, config)
        self.head = nn.Linear(config.hidden, 1)
        self.tap = ErrorTap(1)

    def forward(self, feature_ids: Tensor) -> Tensor:
        """Logits of ``feature_ids (batch, fields)``, ``(batch,)``."""
        e = self.embedding_point(self.embedding(feature_ids))  # (batch, fields, embedding)
        products = self.logarithmic_point(self.logarithmic(e))  # (batch, embedding · neurons)
        logit = self.linear(feature_ids) + self.head(self.mlp(products))
        return self.tap(logit).squeeze(1)
