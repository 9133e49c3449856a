"""Information that a method needs, and its costs: stated by each method, and shown as one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Information:
    """The information that crosses a network when a method assigns credit. Everything is plain text.

    Attributes:
        family: signals, backward weights, several passes, local losses, or backprop.
        exact: what is as in backprop.
        replaced: what stands in for the rest.
        transports: which forward weights other layers have to know.
        labels: what is asked of the task: its loss, or more.
        space: what a layer has to be told from elsewhere.
        time: when it can learn.
        passes: forward and backward passes of a step.
        products: matrix products of a step, in units of one forward pass F, all gradients of inputs X and all gradients
            of weights W, where F ≈ X ≈ W: backprop has F + X + W = 3.
        memory: what has to be kept until the update, beside the weights.
    """

    family: str
    exact: str
    replaced: str
    transports: str
    labels: str
    space: str
    time: str
    passes: str
    products: str
    memory: str
