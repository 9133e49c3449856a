"""The exchange of weights: autograd saves the layers' own, and finds others where their inputs' gradients are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.autograd.graph import Node

from dfa_core.errors import FeedbackError
from dfa_core.families.operations import factors, is_product, kept_arguments, linear_argument, operation
from dfa_core.families.recurrence import Replaced
from dfa_core.families.saved_weights import Packed, SavedWeights, Source, memory_of


class _Look(threading.local):
    """Whether this thread only looks at a saved tensor, which is then not replaced, and the tensor that it found."""

    looking = False
    found: Packed | None = None


class Exchange:
    """Hooks for the tensors that autograd saves in one step.

    Args:
        saved: the weights of the step.
        twin: gives the backward weight of a source.
        method: the method's name, for errors.
    """

    def __init__(self, saved: SavedWeights, twin: Callable[[Source], Tensor], method: str) -> None:
        self._saved, self._twin, self._method = saved, twin, method
        self._readers: Mapping[Node, Replaced] | None = None
        self.packed: set[int] = set()  # the memory of the weights that were saved
        self._look = _Look()

    def begin(self, readers: Mapping[Node, Replaced]) -> None:
        """From here on weights are replaced where ``readers`` ask for them, in the arguments stated there."""
        self._readers = readers

    def end(self) -> None:
        """The step is over: what is unpacked later is what was saved."""
        self._readers = None

    def pack(self, tensor: Tensor) -> Packed:
        """Called by autograd with what it saves."""
        weight = self._saved.recognised(tensor)
        if weight is not None:
            self.packed.add(memory_of(tensor))
        # Detached: a node that saves its own output would hold itself, for good.
        return Packed(tensor if weight else tensor.detach(), tensor._version, weight)

    def unpack(self, packed: Packed) -> Tensor:
        """Called by autograd for what it saved: the same, or what stands in its place."""
        if self._look.looking:
            self._look.found = packed
            return packed.tensor
        if packed.tensor._version != packed.version:
            raise self._changed(packed)
        weight = packed.weight
        if weight is None or self._readers is None:
            return packed.tensor
        node = torch._C._current_autograd_node()
        if not self._is_replaced(node, packed, weight.source):
            return packed.tensor
        with torch.no_grad():
            return weight.view(self._twin(weight.source))

    def _is_replaced(self, node: Node, packed: Packed, source: Source) -> bool:
        """Whether a node reads a weight in order to hand a gradient to an activation."""
        assert self._readers is not None
        if node not in self._readers:
            return False
        arguments = self._readers[node]
        if arguments is not None:
            return self._stands_at(node, arguments, packed)
        if self._stands_at(node, kept_arguments(node), packed):
            return False
        one = linear_argument(node)
        linear = is_product(node) if one is None else self._stands_at(node, (one,), packed)
        if not linear or self._weights_among(node, factors(node)) > 1:
            raise FeedbackError(
                f"{self._method}: the operation {operation(node)} reads {self._saved.described(source)}, and so does "
                "the gradient of that parameter itself, so that no other weight can take its place on the way back: "
                "write the layer with products and sums, or as a torch.autograd.Function, or train by another method"
            )
        return True

    def _stands_at(self, node: Node, arguments: tuple[str, ...], packed: Packed) -> bool:
        return any(self._look_at(node, name) is packed for name in arguments)

    def _weights_among(self, node: Node, arguments: tuple[str, ...]) -> int:
        found = [self._look_at(node, name) for name in arguments]
        return sum(one is not None and one.weight is not None for one in found)

    def _look_at(self, node: Node, argument: str) -> Packed | None:
        """The tensor that a node saved of an argument."""
        self._look.looking, self._look.found = True, None
        try:
            getattr(node, f"_saved_{argument}", None)
        finally:
            self._look.looking = False
        found, self._look.found = self._look.found, None
        return found

    def _changed(self, packed: Packed) -> FeedbackError:
        node, thing = torch._C._current_autograd_node(), f"a tensor of shape {tuple(packed.tensor.shape)}"
        if packed.weight is not None:
            thing = self._saved.described(packed.weight.source)
        return FeedbackError(
            f"{thing}, which the gradient of {operation(node) or node.name()} needs, was changed in place after the "
            f"forward pass (version {packed.tensor._version}, saved as {packed.version}): use the form of the later "
            "operation that returns a new tensor (x = x + 1, not x += 1)"
        )
