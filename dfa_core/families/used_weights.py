"""Which weights a backward pass needs for the gradients of layers' inputs, read from the graph."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.autograd.graph import Node

from dfa_core.errors import FeedbackError
from dfa_core.families.operations import ADDEND, ADDING, COMPUTING, COPIES, GATHERING, JOINING, VIEWS, operation
from dfa_core.families.recurrence import FUSED, Replaced, read_by_recurrence

_NONE: frozenset[str] = frozenset()
#: Operations none of whose gradients reads an input.
_UNREAD = ADDING | JOINING
#: Operations that change no entry.
_REARRANGING = VIEWS | JOINING | COPIES


class Used(NamedTuple):
    """Names of the weights that the gradients of layers' inputs need, and the operations that read them.

    Attributes:
        in_all: every one of them.
        computed: those of which a layer uses something computed, which is no parameter and was not declared.
        readers: the operations that hand a gradient to an activation, with the arguments that they then read; None
            for any argument.
    """

    in_all: set[str]
    computed: set[str]
    readers: dict[Node, Replaced]


class _Made(NamedTuple):
    """A tensor made of parameters alone, and of numbers.

    Attributes:
        weights: the names of those with two or more dims.
        computed: those of them that went through more than views.
    """

    weights: frozenset[str]
    computed: frozenset[str]


def used_for_input_gradients(
    roots: Iterable[Tensor],
    weights: Mapping[str, nn.Parameter],
    tables: Collection[str],
    declared: Mapping[Node, Iterable[str]],
) -> Used:
    """The weights that meet an activation below ``roots``, in an operation that has to hand a gradient to it.

    An activation is whatever depends on parameters by more than rearranging, entrywise operations and sums: those make
    another weight. The product of two parameters is one, so a parameter may be a layer's input. Rows that data choose
    from a parameter are an activation to a weight, and a weight to an activation; those of an embedding's table are
    always activations. A weight that is added to an activation (learned positions) changes nothing for its gradient.

    Args:
        roots: what the error taps were given.
        weights: the parameters in question, by name.
        tables: the names of those that an embedding holds.
        declared: nodes that made a weight by `derived_weight`, and the names of the parameters it was made of.

    Raises:
        FeedbackError: tensors that are no parameters of the model stand where its weights should, or a re-entrant
            checkpoint hides weights.
    """
    reading = _Reading({id(p): name for name, p in weights.items()}, frozenset(tables), declared)
    for node, slots in _upwards(roots):
        if node.name() == "CheckpointFunctionBackward":
            raise FeedbackError(
                "a part of the model is checkpointed with use_reentrant=True, which hides its weights from the graph, "
                "so that they cannot be replaced on the way back: use use_reentrant=False"
            )
        reading.enter(node, slots)
    if weights and reading.others and not reading.known:
        raise FeedbackError(
            "the layers ran with other tensors than the model's parameters (torch.func.functional_call): nothing of "
            "them is replaced on the way back; run the model itself"
        )
    return reading.used


class _Reading:
    """The nodes of a graph, sorted from the leaves up into those made of parameters, rows of them, and activations."""

    def __init__(
        self, names: Mapping[int, str], tables: frozenset[str], declared: Mapping[Node, Iterable[str]]
    ) -> None:
        self.used = Used(set(), set(), {})
        self.known, self.others = 0, 0  # leaves of two or more dims: the model's, and others
        self._names, self._tables, self._declared = names, tables, declared
        self._made: dict[Node, _Made] = {}
        self._rows: dict[Node, frozenset[str]] = {}  # of parameters that no embedding holds
        self._active: set[Node] = set()

    def enter(self, node: Node, slots: Sequence[Node | None]) -> None:
        """Sort one node; those below it are sorted already.

        Args:
            slots: the nodes that made its arguments, None for data and numbers.
        """
        if not slots:
            self._enter_leaf(node)
        elif node in self._declared:
            self._made[node] = _Made(frozenset(self._declared[node]), _NONE)
        elif len(slots) == 1 and slots[0] in self._active and operation(node):
            self._active.add(node)  # most nodes: functions of an activation
        else:
            name = operation(node)
            active = not self._active.isdisjoint(slots)
            self._note_weights(node, name, slots, active)
            if active or not self._is_made(node, name, slots):
                self._active.add(node)
            else:
                self._enter_made(node, name, slots)

    def _enter_leaf(self, node: Node) -> None:
        variable = getattr(node, "variable", None)
        name = None if variable is None else self._names.get(id(variable))
        if variable is not None and variable.ndim > 1:
            self.known, self.others = self.known + (name is not None), self.others + (name is None)
        if isinstance(variable, nn.Parameter):
            self._made[node] = _Made(_NONE if name is None else frozenset((name,)), _NONE)
        else:
            self._active.add(node)  # data whose gradient is asked for

    def _note_weights(self, node: Node, name: str, slots: Sequence[Node | None], active: bool) -> None:
        """Note which weights a node reads in order to hand a gradient to an activation."""
        if name in FUSED:
            read = read_by_recurrence(node, [slot is not None and slot not in self._made for slot in slots])
            self.used.readers[node] = read.arguments
            slots = [slots[place] for place in read.slots]
        elif name in _UNREAD or not (active or not self._rows.keys().isdisjoint(slots)):
            return
        else:
            self.used.readers[node] = None
        addend = ADDEND.get(name)
        for place, slot in enumerate(slots):
            if slot is None or place == addend:
                continue
            if (made := self._made.get(slot)) is not None:
                self.used.in_all.update(made.weights)
                self.used.computed.update(made.computed)
            elif active and slot in self._rows:
                self.used.in_all.update(self._rows[slot])
                self.used.computed.update(self._rows[slot])

    def _is_made(self, node: Node, name: str, slots: Sequence[Node | None]) -> bool:
        """Whether a node without activations gives a weight, as its inputs are: rearranged, or computed of them."""
        if not name:
            return False
        if len(slots) == 1 or name in JOINING:
            return True
        if name not in ADDING and name not in COMPUTING:
            return False
        below = [slot for slot in slots if slot is not None]
        if len(below) == len(slots):
            return True
        # The other operand is a number, a mask, or data. Data have samples, and what is added to data is an activation.
        largest = max(map(_entries, below))
        return _entries(node) <= largest and (name in COMPUTING or all(map(_is_computed, below)))

    def _enter_made(self, node: Node, name: str, slots: Sequence[Node | None]) -> None:
        below = [self._made[slot] for slot in slots if slot in self._made]
        rows = _NONE.union(*(self._rows[slot] for slot in slots if slot in self._rows))
        weights = _NONE.union(*(made.weights for made in below))
        if name in GATHERING:
            rows |= weights - self._tables
            if not rows:
                self._active.add(node)
                return
        elif not rows:
            computed = _NONE.union(*(made.computed for made in below)) if name in VIEWS else weights
            self._made[node] = _Made(weights, computed)
            return
        self._rows[node] = rows | weights


def _is_computed(node: Node) -> bool:
    return bool(node.next_functions) and operation(node) not in _REARRANGING


def _entries(node: Node) -> int:
    """The number of entries of what a node's operation gave."""
    variable = getattr(node, "variable", None)
    return variable.numel() if variable is not None else math.prod(node._input_metadata[0].shape)


def _upwards(roots: Iterable[Tensor]) -> list[tuple[Node, list[Node | None]]]:
    """All nodes that ``roots`` depend on, each after those it depends on, and with these."""
    order: list[tuple[Node, list[Node | None]]] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, list[Node | None] | None]] = [(r.grad_fn, None) for r in roots if r.grad_fn is not None]
    while stack:
        node, slots = stack.pop()
        if slots is not None:
            order.append((node, slots))
        elif node not in seen:
            seen.add(node)
            slots = [below for below, _ in node.next_functions]
            if slots:
                stack.append((node, slots))
                stack += [(below, None) for below in slots if below is not None and below not in seen]
            else:
                order.append((node, slots))
    return order
