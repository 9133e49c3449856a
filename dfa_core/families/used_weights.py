"""Which weights a backward pass needs for the gradients of layers' inputs, read from the graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def used_for_input_gradients(roots: Iterable[Tensor], weights: Mapping[str, nn.Parameter]) -> set[str]:
    """Names of the weights that meet an activation below ``roots``, in an operation that has to hand a gradient to it.

    An activation is whatever depends on another weight or on an embedding by more than rearranging.
    """
    nodes = _below(roots)
    names = {id(p): name for name, p in weights.items()}
    active = _active(nodes)
    used: set[str] = set()
    carried: dict[Node, set[str]] = {}  # the weights that a node hands up unchanged
    for node in nodes:
        variable = getattr(node, "variable", None)
        if variable is not None:
            carried[node] = {names[id(variable)]} if id(variable) in names else set()
            continue
        below = [child for child, _ in node.next_functions if child is not None]
        of_weights = set().union(*(carried.get(child, set()) for child in below))
        if of_weights and any(child in active for child in below):
            used |= of_weights
        carried[node] = of_weights if node.name() in _REARRANGING else set()
    return used


def _active(nodes: Iterable[Node]) -> set[Node]:
    """The nodes whose output is an activation."""
    active: set[Node] = set()
    holds_matrix: set[Node] = set()  # depends on a parameter of two or more dims at all
    for node in nodes:
        variable = getattr(node, "variable", None)
        if variable is not None:
            if variable.ndim > 1:
                holds_matrix.add(node)
            continue
        below = [child for child, _ in node.next_functions if child is not None]
        if any(child in active for child in below):
            active.add(node)
        if any(child in holds_matrix for child in below):
            holds_matrix.add(node)
            if node.name() not in _REARRANGING:
                active.add(node)
    return active


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
