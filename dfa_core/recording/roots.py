"""The roots of a backward pass: where gradients enter below the cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from dfa_core.recording.graph import Place, ReachedTap

Signals = Mapping[str, Tensor | None]


class Roots:
    """Where a backward pass starts: tensors and edges of the graph, each with its gradient."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self._gradients: list[Tensor | None] = []

    def add(self, root: Place, gradient: Tensor | None) -> None:
        self.places.append(root)
        self._gradients.append(gradient)

    def add_points(self, tap: ReachedTap, sent: Signals) -> None:
        """The points of one pass, with their signals."""
        for name, signal in sent.items():
            activation = tap.trace.points[name]
            if signal is not None and activation.root is not None:
                self.add(tap.place(activation.root), signal.to(activation.value.dtype))

    def add_tap(self, tap: ReachedTap, error: Tensor, flows_anyway: bool) -> None:
        """The tap of one pass, with its error; a region's gets it from the loss where that goes backward too."""
        if tap.trace.attached is None:
            if not flows_anyway:
                self.add(tap.edge, error)
        elif tap.trace.attached.requires_grad:
            self.add(tap.trace.attached, error)

    def backward(self) -> None:
        """Accumulate what goes down from here."""
        if self.places:
            torch.autograd.backward(cast("list[Tensor]", self.places), self._gradients)

    def gradients(self, below: Sequence[Place]) -> Sequence[Tensor | None]:
        """The gradients that arrive at places below; nothing is accumulated, and the graph is kept."""
        if not self.places:
            return [None] * len(below)
        roots, inputs = cast("list[Tensor]", self.places), cast("list[Tensor]", below)
        return torch.autograd.grad(roots, inputs, self._gradients, retain_graph=True, allow_unused=True)
