"""The first layer of every recommender: the embeddings of a sample's fields, and its first-order (linear) terms.

A sample is one value of each field. All fields share one index space, so one table serves them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Fields:
    """The sizes of the data that a model has to know.

    count: values of a sample. num_embeddings: rows of the embedding table. sparse: its gradient holds the rows that a
    batch touches and no others, for an optimizer that updates these alone.
    """

    count: int
    num_embeddings: int
    sparse: bool = False


def embedding_table(fields: Fields, width: int) -> nn.Embedding:
    """``(batch, fields)`` indices → ``(batch, fields, width)``; initialised by Xavier's rule over the whole table."""
    table = nn.Embedding(fields.num_embeddings, width, sparse=fields.sparse)
    nn.init.xavier_uniform_(table.weight)
    return table


class LinearTerms(nn.Module):
    """First-order terms Σ_f w[x_f] + b, ``(batch, fields)`` → ``(batch, 1)``.

    They start at zero. The code that the paper builds on starts them at N(0, 1), so that a sample's logit starts at
    N(0, 39), and values too rare to be learned add noise to it in every step: ``std=1`` repeats that.
    """

    def __init__(self, fields: Fields, std: float) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(fields.num_embeddings, 1, mode="sum", sparse=fields.sparse)
        nn.init.normal_(self.table.weight, std=std)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, feature_ids: Tensor) -> Tensor:
        return self.table(feature_ids) + self.bias


class Detach(nn.Module):
    """Passes values on and no gradient back: a cut without feedback, whatever the method."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


@contextmanager
def dense_gradients(model: nn.Module) -> Iterator[None]:
    """Forward passes within give dense gradients of the tables as well, for whoever has to compare gradients."""
    were_sparse = [table.sparse for table in tables(model)]
    for table in tables(model):
        table.sparse = False
    try:
        yield
    finally:
        for table, sparse in zip(tables(model), were_sparse, strict=True):
            table.sparse = sparse


def tables(model: nn.Module) -> list[nn.Embedding | nn.EmbeddingBag]:
    """The embedding tables of a recommender."""
    return [module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
