"""Fused recurrent layers: one operation for all steps, within which each step's state is the next one's activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch.autograd.graph import Node

from dfa_core.families.operations import operation

#: One operation for a layer and direction (CPU), or for all of them (GPU).
FUSED = {"CudnnRnn", "MiopenRnn", "MkldnnRnnLayer"}

#: Names of the arguments in which weights are replaced; None for any.
Replaced = tuple[str, ...] | None


class Read(NamedTuple):
    """The weights that a fused recurrent layer needs on the way back to its input and from step to step.

    Attributes:
        arguments: their names, as those of the operation's arguments.
        slots: their places among the operation's arguments.
    """

    arguments: Replaced
    slots: Sequence[int]


def read_by_recurrence(node: Node, active: Sequence[bool]) -> Read:
    """The weights of a fused layer that are replaced: recurrent ones always, those of its input if that is activations.

    Args:
        active: whether the argument at each place is an activation.
    """
    if operation(node) == "MkldnnRnnLayer":  # input, W_ih, W_hh, two biases, h_0, c_0
        several = len(node._saved_input) > 1 or active[5]  # type: ignore[attr-defined]
        read = {place: f"weight{place - 1}" for place, is_read in ((1, active[0]), (2, several)) if is_read}
        return Read(tuple(read.values()), tuple(read))
    # input, then of each layer and direction W_ih, W_hh and what there is more, at last h_0 and c_0
    stride, directions = node._saved_weight_stride0, 1 + node._saved_bidirectional  # type: ignore[attr-defined]
    of_input = set() if active[0] else {1 + stride * direction for direction in range(directions)}
    return Read(None, [place for place in range(1, len(active) - 2) if place not in of_input])
