"""A small Vision Transformer (Dosovitskiy et al., arXiv:2010.11929), which reads the mean over its tokens.

All blocks lie on one residual stream. With the branches and the last norm removed, the output layer reads the mean over
the tokens of each block's output: `structural` sends every token the same part of the error.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.dropout import Dropout
from benchmarks.tasks.images.config import ViTConfig
from dfa_core import ErrorTap, FeedbackPoint, Pooled


class ViT(nn.Module):
    """Patches, learned positions, pre-norm blocks; a feedback point behind each block. Arguments as of `MLP`.

    Raises:
        ValueError: the patches do not cover the image.
    """

    def __init__(self, config: ViTConfig, shape: tuple[int, int, int], classes: int, samples: int) -> None:
        super().__init__()
        if shape[1] % config.patch:
            raise ValueError(f"task.model.patch={config.patch}: must divide the images' side of {shape[1]} pixels")
        tokens = (shape[1] // config.patch) ** 2
        self.embed = nn.Conv2d(shape[0], config.width, config.patch, stride=config.patch)
        self.positions = nn.Parameter(torch.randn(tokens, config.width) * 0.02)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, tokens) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.output = nn.Linear(config.width, classes)
        self.tap = ErrorTap(classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, *shape)`` → scores ``(n, classes)``."""
        h = self.embed(x).flatten(2).transpose(1, 2) + self.positions  # (n, tokens, width)
        h = self.dropout(h)
        for block in self.blocks:
            h = block(h)
        return self.tap(self.output(self.norm(h).mean(1)))


class Block(nn.Module):
    """Self-attention and a feed-forward network, each behind a norm and beside the stream; a point behind both."""

    def __init__(self, config: ViTConfig, tokens: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.merge = nn.Linear(config.width, config.width)
        self.enter = nn.Linear(config.width, config.hidden)
        self.leave = nn.Linear(config.hidden, config.width)
        self.dropout = Dropout(config.dropout)
        structure = Pooled(partial(to_every_token, tokens=tokens), config.width)
        self.point = FeedbackPoint((tokens, config.width), structure=structure)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, tokens, width)`` → the same."""
        x = x + self.dropout(self._attention(self.attention_norm(x)))
        x = x + self.dropout(self.leave(F.gelu(self.enter(self.feed_forward_norm(x)))))
        return self.point(x)

    def _attention(self, x: Tensor) -> Tensor:
        by_head = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))  # (n, tokens, 3, heads, width / heads)
        q, k, v = by_head.permute(2, 0, 3, 1, 4)
        return self.merge(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def to_every_token(error: Tensor, tokens: int) -> Tensor:
    """The transpose of the mean over tokens: ``(n, width)`` → ``(n, tokens, width)``."""
    return (error / tokens).unsqueeze(1).expand(-1, tokens, -1)
