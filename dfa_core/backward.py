"""The two halves of a step: from the loss to the error taps, and from every point to the cuts below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dfa_core.errors import FeedbackError
from dfa_core.passes import Pass

Signals = Mapping[str, Tensor | None]


def backpropagate_to_taps(loss: Tensor, passes: Sequence[Pass]) -> None:
    """Accumulate the true gradient of all parameters above the taps, and set every pass's error.

    ``loss`` is a scalar. In eager mode every tap passed on a leaf, where autograd stops by itself. A tap that
    closes a compiled region passed on the region's output, and the backward must not enter that region yet:
    it has one backward function, which is to run once, later, with the signals of all points.
    """
    taps = [forward_pass.passed_on for forward_pass in passes]
    errors: Sequence[Tensor | None]
    if all(tap.is_leaf for tap in taps):
        torch.autograd.backward(loss)
        errors = [tap.grad for tap in taps]
        for tap in taps:
            tap.grad = None  # a module fed by this tap adds to it in the second half, which is not to change e
    else:
        if above := _leaves_above(loss, taps):
            torch.autograd.backward(loss, inputs=above, retain_graph=True)
        errors = torch.autograd.grad(loss, taps, allow_unused=True)
    for forward_pass, error in zip(passes, errors, strict=True):
        forward_pass.error = error


def local_roots(passes: Sequence[Pass], signals: Sequence[Signals]) -> tuple[list[Tensor], list[Tensor]]:
    """Where the second half of a step starts: the points with their signals, the taps with their errors.

    Returns:
        The attached tensors and, for each, the gradient to start with; ready for one multi-root backward.
    """
    roots: list[Tensor] = []
    gradients: list[Tensor] = []
    for forward_pass, sent in zip(passes, signals, strict=True):
        for name, signal in sent.items():
            activation = _activation(forward_pass, name)
            if signal is not None and activation.requires_grad:
                roots.append(activation)
                gradients.append(_fitted(name, signal, activation))
        error = forward_pass.error  # read in any case: a tap without error is a mistake of the caller
        if forward_pass.arrived.requires_grad:
            roots.append(forward_pass.arrived)
            gradients.append(error)
    return roots, gradients


def _activation(forward_pass: Pass, point: str) -> Tensor:
    if point not in forward_pass.activations:
        ran = ", ".join(f"'{name}'" for name in forward_pass.activations) or "none"
        raise FeedbackError(
            f"a signal was sent to feedback point '{point}', which did not run before error tap "
            f"'{forward_pass.tap}': send signals to the points of forward_pass.activations (here {ran})"
        )
    return forward_pass.activations[point]


def _fitted(point: str, signal: Tensor, activation: Tensor) -> Tensor:
    if signal.shape != activation.shape:
        raise FeedbackError(
            f"the signal for feedback point '{point}' has shape {tuple(signal.shape)}, its activation "
            f"{tuple(activation.shape)}: a method returns one entry per entry of the activation"
        )
    return signal.to(activation.dtype)


def _leaves_above(loss: Tensor, taps: Sequence[Tensor]) -> list[Tensor]:
    """The leaf tensors that ``loss`` depends on through paths that avoid the taps."""
    leaves: list[Tensor] = []
    taken = {id(tap) for tap in taps}
    seen: set[Any] = {tap.grad_fn for tap in taps}
    stack: list[Any] = [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable") and id(node.variable) not in taken:  # an AccumulateGrad node
            leaves.append(node.variable)
        stack.extend(below for below, _ in node.next_functions)
    return leaves
