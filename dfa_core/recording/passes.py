"""Passes: the forward passes that a loss was computed from, each as a method sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.recording.trace import Trace


class Visited(NamedTuple):
    """A feedback point in one pass: the pass by its tap and its number among the tap's, and the point's name."""

    tap: str
    nth: int
    point: str


class Pass:
    """One forward pass through the part of a model that one error tap serves.

    Attributes:
        tap: name of the error tap.
        nth: how many passes through this tap the loss depends on that ran before this one.
        activations: per point, in the order visited, the activation ``(*batch, *features)``, cut from its graph;
            not to be changed.
    """

    def __init__(self, tap: str, nth: int, activations: dict[str, Tensor], output: Tensor | None) -> None:
        self.tap = tap
        self.nth = nth
        self.activations = activations
        self._output = output
        self._error: Tensor | None = None

    @property
    def output(self) -> Tensor:
        """The tap's input, ``(*batch, *error)``, cut from its graph."""
        if self._output is None:
            raise FeedbackError(f"error tap '{self.tap}' lies in a compiled region, whose output cannot be read here")
        return self._output

    @property
    def error(self) -> Tensor:
        """e = dL/d(output) at the tap, ``(*batch, *error)``, once the loss was backpropagated to it."""
        if self._error is None:
            raise FeedbackError(
                f"error tap '{self.tap}' ran but this loss sends it no gradient: compile the layers above a tap "
                "apart from those below it, and compute the loss from what the tap returns"
            )
        return self._error

    @error.setter
    def error(self, error: Tensor | None) -> None:
        self._error = error

    @property
    def has_error(self) -> bool:
        """Whether a gradient arrived at the tap."""
        return self._error is not None


def passes_of(traces: Iterable[Trace]) -> list[Pass]:
    """The passes that ``traces`` recorded.

    Raises:
        FeedbackError: a point ran twice before its tap did, or an activation was changed in place.
    """
    passes: list[Pass] = []
    for trace in traces:
        if trace.twice:
            raise FeedbackError(
                f"feedback point '{trace.twice}' ran twice in one pass, before error tap '{trace.tap}' ran: give "
                "each use of a shared layer its own FeedbackPoint, put the tap inside an encoder that is used "
                "twice, and call method.reset() after a forward pass that failed half-way"
            )
        for name, activation in trace.points.items():
            if activation.version is not None and activation.version != activation.value._version:
                raise FeedbackError(
                    f"what feedback point '{name}' passed on was changed in place afterwards, and the activation "
                    "with it: use the operation that returns a new tensor (relu in place of relu_, x = x + y in "
                    "place of x += y, inplace=False)"
                )
        nth = sum(earlier.tap == trace.tap for earlier in passes)
        output = None if trace.attached is None else trace.attached.detach()
        activations = {name: activation.value for name, activation in trace.points.items()}
        passes.append(Pass(trace.tap, nth, activations, output))
    return passes
