"""A loss whose own ``.backward()`` runs a method, for training loops that call nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.recording.step import check_scalar


@dataclass
class _Held:
    """Holds a loss, so that autograd does not track it."""

    loss: Tensor | None


def wrapped(loss: Tensor, backward: Callable[[Tensor], None]) -> Tensor:
    """A scalar equal to ``loss``; when a gradient g arrives at it, ``backward(g · loss)`` is called.

    g is 1, or what a gradient scaler or an accumulation over micro-batches multiplies the loss by.
    """
    check_scalar(loss)
    if not loss.requires_grad:  # computed without gradients: an evaluation
        return loss
    anchor = loss.detach().requires_grad_()  # autograd calls a function only where an input needs a gradient
    output: Tensor = _WrappedLoss.apply(anchor, _Held(loss), backward)  # type: ignore[no-untyped-call]
    return output


class _WrappedLoss(torch.autograd.Function):
    """The identity on a loss; its backward hands over to the method."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, held: _Held, backward: Callable[[Tensor], None]) -> Tensor:
        ctx.held, ctx.method_backward = held, backward
        return anchor.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        loss = ctx.held.loss
        if loss is None:
            raise FeedbackError("this wrapped loss went backward before: run the forward pass again")
        ctx.held.loss = None  # its graph is spent, and freed when the method is done
        with torch.enable_grad():
            ctx.method_backward(loss * gradient)
        return None, None, None
