"""Which weights a backward pass needs for the gradients of layers' inputs, read from the graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.autograd.graph import Node

from dfa_core.errors import FeedbackError

#: Operations that only rearrange their input: what comes out of them is still the weight.
_REARRANGING = {
    "Alias", "AsStrided", "BlockDiag", "Cat", "Clone", "ConstantPadNd", "Expand", "Permute", "ReshapeAlias", "Select",
    "Slice", "Split", "SplitWithSizes", "Squeeze", "Stack", "T", "ToCopy", "Transpose", "Unbind", "UnsafeView",
    "Unsqueeze", "View",
}  # fmt: skip
#: Operations whose input's gradient needs no other input.
_ADDING = {"Add", "Sub", "Rsub"}
#: Operations on entries, and sums over them: of weights alone, they make another weight.
_COMPUTING = {
    "Abs", "Amax", "Amin", "Clamp", "ClampMax", "ClampMin", "Div", "Exp", "LinalgVectorNorm", "Log", "MaskedFill",
    "Max", "Maximum", "Mean", "Min", "Minimum", "Mul", "Neg", "Norm", "Pow", "Reciprocal", "Relu", "Rsqrt", "Sigmoid",
    "Softmax", "Softplus", "Sqrt", "Std", "StdMean", "Sum", "Tanh", "Var", "VarMean", "WeightNormInterface", "Where",
}  # fmt: skip


class Used(NamedTuple):
    """Names of the weights that the gradients of layers' inputs need.

    Attributes:
        in_all: every one of them.
        computed: those of which a layer uses something computed, which is no parameter and was not declared.
    """

    in_all: set[str]
    computed: set[str]


def used_for_input_gradients(
    roots: Iterable[Tensor], weights: Mapping[str, nn.Parameter], declared: Mapping[Node, Iterable[str]]
) -> Used:
    """The weights that meet an activation below ``roots``, in an operation that has to hand a gradient to it.

    An activation is whatever depends on another weight or on an embedding by more than rearranging, entrywise
    operations and sums: those make another weight. A weight that is added to an activation (learned positions) changes
    nothing for its gradient.

    Args:
        roots: what the error taps were given.
        weights: the parameters in question, by name.
        declared: nodes that made a weight by `derived_weight`, and the names of the parameters it was made of.

    Raises:
        FeedbackError: tensors that are no parameters of the model stand where its weights should.
    """
    names = {id(p): name for name, p in weights.items()}
    used = Used(set(), set())
    carried: dict[Node, set[str]] = {}  # the weights that a node hands up, or another weight made of them
    computed: dict[Node, set[str]] = {}  # those of them that it computes with
    holds_matrix: set[Node] = set()  # depends on a parameter of two or more dims at all
    active: set[Node] = set()  # its output is an activation
    others, known = 0, 0  # leaves of two or more dims
    for node in _below(roots):
        carried[node], computed[node] = set(declared.get(node, ())), set()
        variable = getattr(node, "variable", None)
        if variable is not None:
            carried[node] = {names[id(variable)]} if id(variable) in names else set()
            if variable.ndim > 1:
                holds_matrix.add(node)
                known, others = known + bool(carried[node]), others + (not carried[node])
            continue
        below = [child for child, _ in node.next_functions if child is not None]
        if node in declared:
            holds_matrix.add(node)
            continue
        meets_activation = not active.isdisjoint(below)
        still_a_weight = not meets_activation and _hands_up_weights(node, below, carried)
        of_weights = set[str]().union(*(carried[child] for child in below))
        of_computed = set[str]().union(*(computed[child] for child in below))
        if meets_activation and _operation(node) not in _ADDING:
            used.in_all.update(of_weights)
            used.computed.update(of_computed)
        if still_a_weight or _operation(node) in _REARRANGING:
            carried[node] = of_weights
            computed[node] = of_computed if _operation(node) in _REARRANGING else of_weights
        if not holds_matrix.isdisjoint(below):
            holds_matrix.add(node)
        if meets_activation or (node in holds_matrix and not still_a_weight):
            active.add(node)
    if weights and others and not known:
        raise FeedbackError(
            "the layers ran with other tensors than the model's parameters (torch.func.functional_call): nothing of "
            "them is replaced on the way back; run the model itself"
        )
    return used


def _hands_up_weights(node: Node, below: Sequence[Node], carried: Mapping[Node, set[str]]) -> bool:
    """Whether a node's output is a weight as its inputs are: rearranged, or made of weights alone."""
    operation, all_weights = _operation(node), all(carried[child] for child in below)
    if operation in _REARRANGING:
        return True
    if operation not in _ADDING | _COMPUTING or not all_weights:
        return False
    if len(below) == len(node.next_functions):
        return True
    # The other operand is a number, a mask, or data. Data have samples, and what is added to data is an activation.
    largest = max(map(_entries, below))
    return _entries(node) <= largest and (operation in _COMPUTING or all(_operation(c) in _COMPUTING for c in below))


def _operation(node: Node) -> str:
    return node.name().partition("Backward")[0]


def _entries(node: Node) -> int:
    """The number of entries of what a node's operation gave."""
    variable = getattr(node, "variable", None)
    return variable.numel() if variable is not None else math.prod(node._input_metadata[0].shape)


def _below(roots: Iterable[Tensor]) -> list[Node]:
    """All nodes that ``roots`` depend on, each after those it depends on."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root.grad_fn, False) for root in roots if root.grad_fn is not None]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(child, False) for child, _ in node.next_functions if child is not None]
    return order
