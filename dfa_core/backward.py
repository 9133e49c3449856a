"""The first half of a step: backpropagation from the loss down to the error taps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dfa_core.recorder import Pass


def backpropagate_to_taps(loss: Tensor, passes: list[Pass]) -> None:
    """Accumulate the true gradient of all parameters above the taps, and set every pass's error.

    ``loss`` is a scalar. In eager mode every tap passed on a leaf, where autograd stops by itself. A tap that
    closes a compiled region passed on the region's output, and the backward must not enter that region yet:
    it has one backward function, which is to run once, later, with the signals of all points.
    """
    taps = [p.passed_on for p in passes]
    if all(tap.is_leaf for tap in taps):
        loss.backward()  # type: ignore[no-untyped-call]
        errors = [tap.grad for tap in taps]
    else:
        if above := _leaves_above(loss, taps):
            torch.autograd.backward(loss, inputs=above, retain_graph=True)
        errors = list(torch.autograd.grad(loss, taps, allow_unused=True))
    for forward_pass, error in zip(passes, errors, strict=True):
        forward_pass.error = error


def _leaves_above(loss: Tensor, taps: list[Tensor]) -> list[Tensor]:
    """The leaf tensors that ``loss`` depends on through paths that avoid the taps."""
    leaves: list[Tensor] = []
    seen: set[Any] = {tap.grad_fn for tap in taps}
    stack: list[Any] = [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        stack.extend(below for below, _ in node.next_functions)
    taken = {id(tap) for tap in taps}
    return [leaf for leaf in leaves if id(leaf) not in taken]
