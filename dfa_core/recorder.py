"""The recorder: what the marks hand over while a step's forward passes run."""

from __future__ import annotations

import torch
from torch import Tensor


class Visit:
    """One mark that ran: the tensor that came in, the one passed on, and the visit before it."""

    def __init__(self, name: str, arrived: Tensor, passed_on: Tensor, previous: Visit | None) -> None:
        self.name = name
        self.arrived = arrived
        self.passed_on = passed_on
        self.previous = previous


class Recorder:
    """Collects the visits of one step and cuts the graph at every mark.

    The visits form a chain rather than a list: appending to a list inside a compiled function makes
    ``torch.compile`` guard on its length, so every further pass of a step would compile anew. For the same
    reason the chain starts at a visit of no mark, and not at ``None``.
    """

    def __init__(self) -> None:
        self.last = self._start = Visit("", torch.empty(0), torch.empty(0), None)

    def at_point(self, name: str, x: Tensor) -> Tensor:
        """Keep the attached activation; pass it on cut, *not* requiring a gradient."""
        cut = x.detach()
        self.last = Visit(name, x, cut, self.last)
        return cut

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        """Cut here too, but pass on a leaf that gathers the error."""
        # A compiled region cannot create a leaf. There the output itself is passed on, and
        # `backpropagate_to_taps` stops the backward of what follows in eager mode at that tensor.
        leaf = x if torch.compiler.is_compiling() else x.detach().requires_grad_()
        self.last = Visit(name, x, leaf, self.last)
        return leaf

    def clear(self) -> None:
        """Forget the visits (of a step that will not be finished)."""
        self.last = self._start

    def take(self) -> list[Visit]:
        """The visits since the last call, in the order they happened; forgets them."""
        visits: list[Visit] = []
        visit = self.last
        while visit.previous is not None:
            visits.append(visit)
            visit = visit.previous
        self.clear()
        return visits[::-1]
