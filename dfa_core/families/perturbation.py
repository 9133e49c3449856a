"""Perturbed activations: what noise at all feedback points does to the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.replay import check_replayed, replayed
from dfa_core.recording.passes import Pass, Visited


def output_changes(
    method: FeedbackMethod, passes: Sequence[Pass], directions: Mapping[Visited, Tensor], epsilon: float
) -> list[Tensor]:
    """d = Σ_i (∂o/∂h_i) v_i, the change of each pass's output per unit of a common move along the directions.

    By a finite difference: one more forward pass with h_i + ε v_i, equal to the first in all its randomness. The
    points' contributions are not told apart; with independent directions of mean zero the others are noise.

    Args:
        passes: of the step in progress.
        directions: v_i of each point in each pass, of the activation's shape.

    Returns:
        d of each pass, ``(*batch, *error)``.

    Raises:
        FeedbackError: activations are in half precision, too few digits for a difference.
    """
    for forward_pass in passes:
        for name, activation in forward_pass.activations.items():
            if activation.dtype in (torch.bfloat16, torch.float16):
                raise FeedbackError(
                    f"feedback point '{name}' has {activation.dtype} activations: {type(method).__name__} takes "
                    "differences of two passes, which need fp32"
                )

    def move(at: Visited, x: Tensor) -> Tensor:
        return x + epsilon * directions[at] if at in directions else x

    context = method.context
    assert context.rewind is not None
    with torch.no_grad():
        _, outputs = replayed(method.layout, context.rewind, context.closure, move)
    check_replayed(passes, outputs)
    return [(outputs[one.tap, one.nth] - one.output) / epsilon for one in passes]


def visits(passes: Sequence[Pass]) -> dict[Visited, Tensor]:
    """The activations of all points in all passes."""
    return {Visited(one.tap, one.nth, name): h for one in passes for name, h in one.activations.items()}
