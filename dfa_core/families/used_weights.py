"""Which weights a backward pass needs for the gradients of layers' inputs, read from the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn
from torch.autograd.graph import Node

#: Operations that only rearrange their input: what comes out of them is still the weight.
_REARRANGING = {
    f"{name}Backward{number}"
    for name in (
        "Alias", "AsStrided", "BlockDiag", "Cat", "Clone", "ConstantPadNd", "Expand", "Permute", "ReshapeAlias",
        "Select", "Slice", "Split", "SplitWithSizes", "Squeeze", "Stack", "T", "ToCopy", "Transpose", "Unbind",
        "UnsafeView", "Unsqueeze", "View",
    )
    for number in (0, 1)
}  # fmt: skip


#: Operations whose input's gradient needs no other input.
_ADDING = {"AddBackward0", "SubBackward0", "RsubBackward1"}


def used_for_input_gradients(roots: Iterable[Tensor], weights: Mapping[str, nn.Parameter]) -> set[str]:
    """Names of the weights that meet an activation below ``roots``, in an operation that has to hand a gradient to it.

    An activation is whatever depends on another weight or on an embedding by more than rearranging. A sum of weights is
    still a weight; a weight that is added to an activation (learned positions) changes nothing for its gradient.
    """
    names = {id(p): name for name, p in weights.items()}
    used: set[str] = set()
    carried: dict[Node, set[str]] = {}  # the weights that a node hands up unchanged, or as a sum
    holds_matrix: set[Node] = set()  # depends on a parameter of two or more dims at all
    active: set[Node] = set()  # its output is an activation
    for node in _below(roots):
        variable = getattr(node, "variable", None)
        if variable is not None:
            carried[node] = {names[id(variable)]} if id(variable) in names else set()
            if variable.ndim > 1:
                holds_matrix.add(node)
            continue
        below = [child for child, _ in node.next_functions if child is not None]
        meets_activation = not active.isdisjoint(below)
        still_a_weight = not meets_activation and _hands_up_weights(node, [carried[child] for child in below])
        of_weights = set().union(*(carried[child] for child in below))
        if meets_activation and node.name() not in _ADDING:
            used |= of_weights
        carried[node] = of_weights if still_a_weight or node.name() in _REARRANGING else set()
        if not holds_matrix.isdisjoint(below):
            holds_matrix.add(node)
        if meets_activation or (node in holds_matrix and not still_a_weight):
            active.add(node)
    return used


def _hands_up_weights(node: Node, of_children: Sequence[set[str]]) -> bool:
    """Whether a node's output is a weight as its inputs are: rearranged, or the sum of several."""
    if node.name() in _ADDING:
        return len(of_children) > 1 and all(of_children)  # with one, the other is data: an activation
    return node.name() in _REARRANGING


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
