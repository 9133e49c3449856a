"""The Transformer language model (Vaswani et al., arXiv:1706.03762; its decoder, without a source to attend to).

Where it receives feedback, in post-norm blocks as published (arXiv:2006.12878, section 3.4):

    x ─ attention ─ + ─ norm ─ (1) ─ enter ─ ReLU ─ (2) ─ leave ─ + ─ norm ─ (3)
    └───────────────┘           └─────────────────────────────────┘

macro: (3) of every block; micro: all three. What a point passes on is all that comes after it, residual connections
included, so nothing gets past a cut. In a pre-norm block (1) and (3) are therefore the sums: the norms lie beside the
residual stream there, not across it.

The topmost (3) is the last block's output, and so is the error tap. As in the released code the point comes first: the
last block, too, learns from B e, and `shallow` trains the vocabulary projection alone (the paper's 428). `top=error`
leaves this point out. What lies between the highest point left and the tap then learns from e itself, its true
gradient, under `shallow` too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.dropout import Dropout
from benchmarks.tasks.language.config import TransformerConfig
from benchmarks.tasks.language.vocabulary_loss import vocabulary_loss
from dfa_core import Carried, ErrorTap, FeedbackPoint, Residual
from dfa_core.structure import Structure


class Transformer(nn.Module):
    """Token ids → logits of each next token; embedding, sinusoidal positions, blocks, vocabulary projection.

    Initial values: both vocabulary matrices N(0, 1/width), the blocks' Glorot's uniform, biases 0. The last norm gives
    hidden states variance 1, so logits start with variance 1: the first loss is ln(vocabulary) + 1/2. (More if the
    matrices are tied in a pre-norm network, whose residual stream still holds the token itself.)
    """

    def __init__(self, config: TransformerConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(config.context, config.width), persistent=False)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, last=layer == config.layers - 1) for layer in range(config.layers))
        self.norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
        self.projection = nn.Linear(config.width, vocabulary)
        before = config.tap == "before"
        self.hidden_tap = ErrorTap(config.width, 2, independent_dims=1) if before else nn.Identity()
        self.logit_tap = nn.Identity() if before else ErrorTap(vocabulary, 2, independent_dims=1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for table in (self.embedding, self.projection):
            nn.init.normal_(table.weight, std=self.config.width**-0.5)
        nn.init.zeros_(self.projection.bias)
        if self.config.tied:
            # Used below the points and above the tap: its gradient is the sum of the first point's and the true one.
            self.projection.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Logits ``(batch, time, vocabulary)`` of the tokens that follow ``ids (batch, time)``."""
        return self.project(self.hidden(ids))

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token, a scalar.

        Args:
            ids: ``(batch, time)``.
            targets: the tokens that follow, ``(batch, scored)``. With scored < time only the last tokens count and
                the others are context, as in an evaluation whose windows overlap.
        """
        scored = slice(ids.shape[1] - targets.shape[1], None)
        if self.config.tap == "after":  # the error is that of all logits, so they have to be there
            return F.cross_entropy(self(ids)[:, scored].flatten(0, 1), targets.flatten())
        return vocabulary_loss(self.hidden(ids)[:, scored], self.projection.weight, self.projection.bias, targets)

    def loss_of_output(self, output: Tensor, targets: Tensor) -> Tensor:
        """The loss if the error tap had passed on ``output (batch, time, …)``; the projection gets no gradient."""
        if self.config.tap == "after":
            return F.cross_entropy(output.flatten(0, 1), targets.flatten())
        return vocabulary_loss(output, self.projection.weight.detach(), self.projection.bias.detach(), targets)

    def hidden(self, ids: Tensor) -> Tensor:
        """The input of the vocabulary projection, ``(batch, time, width)``.

        Raises:
            ValueError: more tokens than the context has.
        """
        time = ids.shape[1]
        if time > self.config.context:
            raise ValueError(f"{time} tokens: the context has {self.config.context}; give fewer, or raise context")
        # The factor gives the embedding the positions' size, though its values are small enough for the projection.
        x = self.embedding(ids) * math.sqrt(self.config.width)  # (batch, time, width)
        x = self.dropout(x + self.positions[:time])
        for block in self.blocks:
            x = block(x)
        return self.hidden_tap(self.norm(x))

    def project(self, hidden: Tensor) -> Tensor:
        """Logits ``(batch, time, vocabulary)`` of ``hidden (batch, time, width)``."""
        return self.logit_tap(self.projection(hidden))


class Block(nn.Module):
    """Attention and a feed-forward network, each with a residual connection around it."""

    def __init__(self, config: TransformerConfig, last: bool) -> None:
        super().__init__()
        micro = config.placement == "micro"
        self.pre_norm = config.norm == "pre"
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(config.width)
        on_stream = Residual() if config.tap == "before" else Carried(_as_it_is)
        self.attention_point = optional_point(config.width, on_stream, used=micro)
        self.enter = nn.Linear(config.width, config.hidden)
        self.hidden_point = optional_point(config.hidden, Carried(_as_it_is), used=micro)
        self.leave = nn.Linear(config.hidden, config.width)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.point = optional_point(config.width, on_stream, used=not last or config.top == "feedback")
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` → the same."""
        if self.pre_norm:
            x = self.attention_point(x + self.dropout(self.attention(self.attention_norm(x))))
            return self.point(x + self.dropout(self.feed_forward(self.feed_forward_norm(x))))
        x = self.attention_point(self.attention_norm(x + self.dropout(self.attention(x))))
        return self.point(self.feed_forward_norm(x + self.dropout(self.feed_forward(x))))

    def feed_forward(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` → the same, each token by itself."""
        # Behind dropout, as in the released code: what a step drops gets no signal in it.
        h = self.hidden_point(self.dropout.relu_then_dropout(self.enter(x)))  # (batch, time, hidden)
        return self.leave(h)


class Attention(nn.Module):
    """Causal self-attention: each token attends to itself and the tokens before it. Backprop inside."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = Dropout(config.attention_dropout)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.merge = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` → the same."""
        by_head = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))  # (batch, time, 3, heads, width / heads)
        q, k, v = by_head.permute(2, 0, 3, 1, 4)  # (batch, heads, time, width / heads) each
        if self.dropout.active and x.device.type == "cpu":
            seen = self._attended(q, k, v)
        else:
            p = self.dropout.p if self.dropout.active else 0.0
            seen = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        return self.merge(seen.transpose(1, 2).flatten(2))

    def _attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same as PyTorch's function, which has no fast path with dropout on a CPU, but for the random numbers."""
        time, size = q.shape[-2:]
        later = torch.full((time, time), -math.inf, dtype=q.dtype).triu(1)
        scores = (q / math.sqrt(size)) @ k.transpose(-1, -2) + later  # (batch, heads, time, time)
        return self.dropout(scores.softmax(-1)) @ v


def optional_point(width: int, structure: Structure, used: bool) -> nn.Module:
    """A feedback point on ``(batch, time, width)``, or nothing where the placement has none."""
    return FeedbackPoint(width, batch_dims=2, structure=structure) if used else nn.Identity()


def _as_it_is(error: Tensor) -> list[Tensor]:
    """Tokens stay where they are, and only the features change on the way."""
    return [error]


def sinusoids(context: int, width: int) -> Tensor:
    """Positions as ``(context, width)``: sin(t ω_i) and cos(t ω_i) in turn, ω_i = 10000^(-2i / width)."""
    frequencies = 10_000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(context).unsqueeze(1) * frequencies  # (context, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
