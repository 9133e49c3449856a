"""Dropout that is cheap on a CPU.

PyTorch draws a Bernoulli number for every entry, which takes longer than all else that dropout does: a quarter of
DeepFM's step, and more than some of the Transformer's layers. Sixteen random bits decide as well.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_LEVELS = 2**16  # of an entry's random number


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """As ``F.dropout``, from :class:`Dropout`'s random numbers: any shape → the same."""
    if not training or p == 0:
        return x
    return x * factors(x, p) if x.device.type == "cpu" else F.dropout(x, p)


def relu_then_dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """``dropout(F.relu(x), p)``, number for number; on a CPU with a third of its memory and passes over it."""
    if not training or p == 0 or x.device.type != "cpu":
        return dropout(F.relu(x), p, training)
    found: Tensor = _DroppedReLU.apply(x, p)
    return found


class Dropout(nn.Module):
    """While training: each entry becomes 0 with probability p, the others are divided by 1 - p.

    On a CPU p is rounded to a multiple of 2^-16, in both places: the expectation stays exact. The random numbers are
    those of PyTorch's generator there, whatever the number of threads; other devices use PyTorch's own dropout.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def active(self) -> bool:
        """Whether it changes anything now."""
        return self.training and self.p > 0

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same."""
        return dropout(x, self.p, self.training)

    def relu_then_dropout(self, x: Tensor) -> Tensor:
        """The same as of ``F.relu(x)``; see the function of this name."""
        return relu_then_dropout(x, self.p, self.training)


class _DroppedReLU(torch.autograd.Function):
    """A ReLU behind dropout: its positive entries are those that passed both."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        """Any shape → the same."""
        y = F.relu(x)
        y.mul_(factors(y, p))
        ctx.save_for_backward(y)
        ctx.factor = y.new_tensor(scale(p))  # rounded as in the forward pass
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(above, y, 0).mul_(ctx.factor), None


def factors(x: Tensor, p: float) -> Tensor:
    """The factors of dropout for ``x``: 0 or 1 / (1 - p), of its shape and type; on the CPU."""
    if torch.compiler.is_compiling():
        drawn: Tensor = _drawn_in_graph(x.detach(), p)
        return drawn
    dropped = round(p * _LEVELS)
    if dropped == _LEVELS:
        return torch.zeros_like(x)
    size = x.numel()
    bits = torch.empty(math.ceil(size / 4), dtype=torch.int64, device="cpu")
    bits.random_(-(2**63), None)  # all 64 bits are random
    numbers = bits.view(torch.int16)[:size]  # uniform from -2^15 to 2^15 - 1
    kept = numbers.ge_(dropped - _LEVELS // 2)
    return kept.to(x.dtype).mul_(scale(p)).view(x.shape)


@torch.library.custom_op("benchmarks::dropout_factors", mutates_args=(), tags=torch.Tag.nondeterministic_seeded)
def _drawn_in_graph(x: Tensor, p: float) -> Tensor:
    """`factors` as one operation of a compiled graph, whose compiler knows no ``random_``: the same numbers."""
    return factors(x, p)


@_drawn_in_graph.register_fake
def _(x: Tensor, p: float) -> Tensor:
    return torch.empty_like(x)


def scale(p: float) -> float:
    """The factor of the entries that stay; 0 where none does."""
    kept = _LEVELS - round(p * _LEVELS)
    return _LEVELS / kept if kept else 0.0
