"""Passes: a step's visits, put in order. Each forward pass ends where its error tap runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.layout import Layout
from dfa_core.recorder import Visit


@dataclass(eq=False)
class Pass:
    """One forward pass through the part of a model that one error tap serves.

    Attributes:
        tap: name of the error tap.
        arrived: the output as computed, attached to the graph below the tap, ``(*batch, *error)``.
        passed_on: what the loss was computed from: a leaf, or ``arrived`` itself in a compiled region.
        activations: per point, in the order visited, the attached activation ``(*batch, *features)``.
        leaves: per point, the cut tensor that was passed on in its place.
    """

    tap: str
    arrived: Tensor
    passed_on: Tensor
    activations: dict[str, Tensor] = field(default_factory=dict)
    leaves: dict[str, Tensor] = field(default_factory=dict)
    _error: Tensor | None = None

    @property
    def error(self) -> Tensor:
        """e = dL/d(output) at the tap, ``(*batch, *error)``, once the loss was backpropagated to it."""
        if self._error is None:
            raise FeedbackError(
                f"error tap '{self.tap}' ran but this loss sends it no gradient: run evaluation under "
                "torch.no_grad(), call method.reset() after a forward pass that gets no backward, and "
                "compile the layers above a tap apart from those below it"
            )
        return self._error

    @error.setter
    def error(self, error: Tensor | None) -> None:
        self._error = error


def group_into_passes(visits: Iterable[Visit], layout: Layout) -> list[Pass]:
    """Split a step's visits into passes: each ends where its tap runs.

    Raises:
        FeedbackError: a point ran twice before its tap did, a tap did not run, or nothing ran.
    """
    passes: list[Pass] = []
    unfinished: dict[str, dict[str, Visit]] = {}  # by tap: the points that ran since the tap last did
    for visit in visits:
        if visit.name in layout.taps:
            points = unfinished.pop(visit.name, {})
            passes.append(
                Pass(
                    visit.name,
                    visit.arrived,
                    visit.passed_on,
                    {name: point.arrived for name, point in points.items()},
                    {name: point.passed_on for name, point in points.items()},
                )
            )
            continue
        tap = layout.tap_of[visit.name]
        if unfinished.setdefault(tap, {}).setdefault(visit.name, visit) is not visit:
            raise FeedbackError(
                f"feedback point '{visit.name}' ran twice in one pass, before error tap '{tap}' ran: give "
                "each use of a shared layer its own FeedbackPoint; after a forward pass that failed "
                "half-way, call method.reset()"
            )
    for tap, points in unfinished.items():
        raise FeedbackError(
            f"error tap '{tap}' never ran after feedback point '{next(reversed(points))}': pass the output "
            "that the loss is computed from through the tap"
        )
    if not passes:
        raise FeedbackError(
            "no mark ran since the last backward: compute the loss, with gradients enabled, by the model "
            "that this method was made for (a copy of it is not attached, and attaching another method "
            "detaches this one)"
        )
    return passes
