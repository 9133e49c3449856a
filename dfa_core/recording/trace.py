"""Traces: what is kept of a forward pass until its step, and where: in the graph that the pass has made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node
from torch.nn.parallel import DistributedDataParallel

_KEY = "dfa_core"  # in the metadata of a tap's node


class Visit:
    """One mark that ran in a compiled region: the tensor that came in, the one that went out, the visit before."""

    def __init__(self, name: str, input: Tensor, output: Tensor, previous: Visit | None) -> None:
        self.name = name
        self.input = input
        self.output = output
        self.previous = previous


@dataclass(eq=False)
class Activation:
    """The activation that a feedback point was given.

    Attributes:
        value: the activation, cut from its graph, ``(*batch, *features)``.
        root: where its gradient enters: the attached tensor, or the number of an output of the region that the tap
            closes; ``None`` if nothing below needs a gradient.
        version: how often the tensor had been changed in place; ``None`` in a compiled region.
    """

    value: Tensor
    root: Tensor | int | None
    version: int | None = None


@dataclass(eq=False)
class Trace:
    """One finished forward pass through the part of a model that one error tap serves.

    Attributes:
        recorder: the one that it was recorded by.
        tap: name of the error tap.
        number: how many passes the recorder had seen before.
        points: the activations by feedback point, in the order visited.
        attached: the tap's input, ``(*batch, *features)``; ``None`` if a compiled region ends with the tap.
        output_nr: which output of its node the tap's is; 0 in eager mode.
        twice: a point that ran twice in this pass; "" if none did.
        reduced_by: the DistributedDataParallel modules that ran the pass and will reduce its gradients.
        spent: whether a step took the pass backward.
    """

    recorder: object
    tap: str
    number: int
    points: dict[str, Activation]
    attached: Tensor | None
    output_nr: int
    twice: str = ""
    reduced_by: set[DistributedDataParallel] = field(default_factory=set)
    spent: bool = False


def keep(trace: Trace, node: Node) -> None:
    """Let ``node``, which made the tap's output, hold ``trace``: for as long as anything depends on that output."""
    for activation in trace.points.values():
        # Tensors of this very node would hold the node in turn, for good.
        if isinstance(activation.root, Tensor) and activation.root.grad_fn is node:
            activation.root = activation.root.output_nr
    _metadata(node).setdefault(_KEY, []).append(trace)


def traces_on(node: Node) -> list[Trace]:
    """The traces of the passes that ended with ``node``: that of a tap's clone, or of a compiled region."""
    if type(node).__name__ != "CloneBackward0" and not isinstance(node, BackwardCFunction):
        return []  # asking any node for its metadata would make some
    return _metadata(node).get(_KEY, [])


def _metadata(node: Node) -> dict[str, list[Trace]]:
    return cast("dict[str, list[Trace]]", node.metadata)  # PyTorch declares a property as a method
