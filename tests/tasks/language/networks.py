"""Small Transformers and batches of ids for the language tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.tasks.language.config import TransformerConfig
from benchmarks.tasks.language.transformer import Transformer

VOCABULARY = 11
SIZES = {"layers": 2, "width": 8, "heads": 2, "hidden": 12, "context": 6, "dropout": 0.0, "attention_dropout": 0.0}


def small(*, seed: int = 0, vocabulary: int = VOCABULARY, **settings: Any) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(TransformerConfig(**{**SIZES, **settings}), vocabulary)


def some_ids(batch: int = 3, time: int = 6, seed: int = 1, vocabulary: int = VOCABULARY) -> tuple[Tensor, Tensor]:
    """Tokens and the ones that follow, ``(batch, time)`` each."""
    ids = torch.randint(vocabulary, (batch, time + 1), generator=torch.Generator().manual_seed(seed))
    return ids[:, :-1], ids[:, 1:]


def gradients(model: Transformer) -> dict[str, Tensor]:
    """By name, of the parameters that have one."""
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
