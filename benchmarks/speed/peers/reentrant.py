"""DFA in its historical form, kept as the peer that the engine is measured against and checked by.

Written apart from `dfa_core.methods`: only the marks and the matrices are shared. Every cut passes on a leaf
that *requires* a gradient, so each layer computes an input gradient that nobody reads; and the tap is an
autograd function whose backward calls backward again, once per feedback point, from inside the running one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dfa_core import DFA


class _Broadcast(torch.autograd.Function):
    """The identity; its backward first sends the error to every feedback point."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, recorder: ReentrantDFA) -> Tensor:
        ctx.recorder = recorder
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor, None]:
        ctx.recorder.broadcast(error)
        return error, None


class ReentrantDFA:
    """Train ``model`` by DFA through re-entrant backward calls, with the matrices of ``DFA(model)``."""

    without_grad = False
    needs: frozenset[str] = frozenset()

    def __init__(self, model: nn.Module, feedback_seed: int = 0) -> None:
        self.dfa = DFA(model, feedback_seed=feedback_seed)  # for its matrices alone
        self.dfa.layout.attach(self)
        self.waiting: list[tuple[str, Tensor]] = []

    def at_point(self, name: str, x: Tensor) -> Tensor:
        self.waiting.append((name, x))
        return x.detach().requires_grad_()

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        broadcast: Tensor = _Broadcast.apply(x, self)
        return broadcast

    def broadcast(self, error: Tensor) -> None:
        for name, activation in self.waiting:
            if activation.requires_grad:
                signal = (error @ self.dfa.matrix(name).to(error.dtype)).reshape(activation.shape)
                activation.backward(
                    signal.to(activation.dtype), retain_graph=True
                )  # layers that branch share a part of the graph
        self.waiting.clear()

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self, closure: Callable[[], Tensor], supervision: object = None) -> Tensor:
        """As `Method.step`, for the training loop."""
        loss = closure()
        self.backward(loss)
        return loss.detach()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """None of its own."""
        return []
