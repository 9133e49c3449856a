"""Perturbed activations: what noise at all feedback points does to the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.hooked import parameters_now_in
from dfa_core.families.repeated import GradientsSoFar, other_run
from dfa_core.families.replay import Change, Outputs, Replay
from dfa_core.recording.passes import Pass, Visited


def output_changes(
    method: FeedbackMethod, passes: Sequence[Pass], directions: Mapping[Visited, Tensor], epsilon: float
) -> list[Tensor]:
    """d = Σ_i (∂o/∂h_i) v_i, the change of each pass's output per unit of a common move along the directions.

    By a finite difference. The points' contributions are not told apart; with independent directions of mean zero the
    others are noise.

    Args, raises: see :func:`perturbed`.

    Returns:
        d of each pass, ``(*batch, *error)``.
    """
    _, outputs = perturbed(method, passes, directions, epsilon)
    return [(outputs[one.tap, one.nth] - one.output) / epsilon for one in passes]


def perturbed(
    method: FeedbackMethod, passes: Sequence[Pass], directions: Mapping[Visited, Tensor], epsilon: float
) -> tuple[Tensor, Outputs]:
    """One more forward pass with h_i + ε v_i, equal to the first in all its randomness: the loss, and the outputs.

    Args:
        passes: of the step in progress.
        directions: v_i of each point in each pass, of the activation's shape.

    Raises:
        FeedbackError: the pass is in half precision, which has too few digits for a difference; it is not as the
            first; or the closure erased gradients. Autocast that begins and ends between two marks is not seen.
    """

    def move(at: Visited, x: Tensor) -> Tensor:
        return x + epsilon * directions[at]

    context = method.context
    assert context.rewind is not None
    so_far = GradientsSoFar([*parameters_now_in(method.model), *parameters_now_in(method), *context.leaves])
    with torch.no_grad():
        marks = _Compared(method, passes, move)
        with method.layout.lent(marks), context.rewind.again():
            loss = context.closure()
    marks.check_complete()
    so_far.check()
    return loss, marks.outputs


class _Compared(Replay):
    """Marks of a pass whose outputs are subtracted from those of the first."""

    def __init__(self, method: FeedbackMethod, passes: Sequence[Pass], change: Change) -> None:
        super().__init__(method.layout, change)
        self._method = type(method).__name__
        self._points_left = {at: h.shape for at, h in visits(passes).items()}
        self._taps_left = {(one.tap, one.nth): one.output.shape for one in passes}

    def at_point(self, name: str, x: Tensor) -> Tensor:
        self._check_digits("feedback point", name, x)
        if self._points_left.pop(self._visit(name), None) != x.shape:
            raise other_run(name)
        return super().at_point(name, x)

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        self._check_digits("error tap", name, x)
        if self._taps_left.pop((name, self._nth[name]), None) != x.shape:
            raise other_run(name)
        return super().at_tap(name, x)

    def check_complete(self) -> None:
        """Raise :class:`FeedbackError` if a mark of the first pass did not run again."""
        for name in [*(at.point for at in self._points_left), *(tap for tap, _ in self._taps_left)]:
            raise other_run(name)

    def _check_digits(self, kind: str, name: str, x: Tensor) -> None:
        # A sum of a stream in fp32 and a branch in bf16 is fp32. Autocast leaves fp64 as it is.
        cast = x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type)
        if cast or x.dtype in (torch.bfloat16, torch.float16):
            found = "runs under autocast" if cast else f"has {x.dtype} activations"
            raise FeedbackError(
                f"{kind} '{name}' {found}: {self._method} takes differences of two passes, which need fp32"
            )


def visits(passes: Sequence[Pass]) -> dict[Visited, Tensor]:
    """The activations of all points in all passes."""
    return {Visited(one.tap, one.nth, name): h for one in passes for name, h in one.activations.items()}
