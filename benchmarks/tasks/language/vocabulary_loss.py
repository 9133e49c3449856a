"""Cross-entropy over a large vocabulary, without the logits of all tokens in memory.

At 8192 tokens and 32,000 entries the logits alone have 1 GB, and cross-entropy holds them several times. Here a few
tokens at a time get their logits, their loss and their share of the gradients, all in the forward pass: the gradients
are known then up to one factor, by which the backward pass multiplies them. Nothing is computed twice.

PyTorch's own `linear_cross_entropy` (2.13) does the same in fp32, about as fast. It ignores autocast, and given bf16
it returns a loss in bf16: two digits, too few for a perplexity.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Tokens whose logits are held at a time. On CPUs 128 to 512 are equally fast, below and above it takes longer: the sum
# of the weight's gradients is read and written once a chunk, and a chunk's logits should stay near the caches. A GPU
# wants larger products.
_CPU_CHUNK, _GPU_CHUNK = 256, 2048


def vocabulary_loss(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean over all tokens of -log softmax(W h + b)[target], in nats: a scalar, in fp32 at least.

    Products are computed in autocast's type where it is on, sums and logarithms are not. The gradients can be asked
    for repeatedly, but not differentiated.

    Args:
        hidden: h, ``(..., width)``.
        weight: W, ``(vocabulary, width)``.
        bias: b, ``(vocabulary,)``.
        targets: token ids, ``(...)``.
    """
    if not torch.is_grad_enabled():  # then no gradient is to be computed on the way
        hidden, weight, bias = hidden.detach(), weight.detach(), bias.detach()
    loss: Tensor = _ChunkedCrossEntropy.apply(hidden.flatten(0, -2), weight, bias, targets.flatten())
    return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        """The loss of ``hidden (tokens, width)`` and ``targets (tokens,)``."""
        device = hidden.device.type
        product = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        chunk = _CPU_CHUNK if device == "cpu" else _GPU_CHUNK
        with torch.autocast(device, enabled=False):
            sums = _Sums(weight.to(product), bias.to(product), ctx.needs_input_grad)
            parts = [
                sums.add(*rows) for rows in zip(hidden.to(product).split(chunk), targets.split(chunk), strict=True)
            ]
        of_hidden = torch.cat([part for part in parts if part is not None]) if ctx.needs_input_grad[0] else None
        ctx.save_for_backward(of_hidden, sums.of_weight, sums.of_bias)
        ctx.tokens = len(targets)
        return sums.loss / ctx.tokens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        factor = above / ctx.tokens
        return *(None if summed is None else summed * factor for summed in ctx.saved_tensors), None


class _Sums:
    """Loss, and the gradients that all tokens share, summed over the chunks so far; ``None``: not needed."""

    def __init__(self, weight: Tensor, bias: Tensor, needed: tuple[bool, ...]) -> None:
        self.weight, self.bias = weight, bias
        self.needs_hidden, needs_weight, needs_bias, _ = needed
        exact = torch.promote_types(weight.dtype, torch.float32)
        self.loss = weight.new_zeros((), dtype=exact)
        self.of_weight = torch.zeros_like(weight, dtype=exact) if needs_weight else None
        self.of_bias = torch.zeros_like(bias, dtype=exact) if needs_bias else None

    def add(self, hidden: Tensor, targets: Tensor) -> Tensor | None:
        """Add a chunk; the gradient of ``hidden (chunk, width)``, of its shape."""
        logits = F.linear(hidden, self.weight, self.bias).to(self.loss.dtype)  # (chunk, vocabulary)
        log_p = F.log_softmax(logits, dim=1)
        chosen = targets.unsqueeze(1)
        self.loss -= log_p.gather(1, chosen).sum()
        # d(loss)/d(logits) = p - onehot(target), in place: these tensors are the largest there are.
        error = log_p.exp_().scatter_add_(1, chosen, log_p.new_full(chosen.shape, -1.0))
        if self.of_bias is not None:
            self.of_bias += error.sum(0)
        error = error.to(hidden.dtype)
        if self.of_weight is not None:
            _add_product(self.of_weight, error.T, hidden)
        return error @ self.weight if self.needs_hidden else None


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """``total += a @ b``, in one pass over ``total`` if it has their type."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b
