"""Saved weights: which of the tensors that autograd saves are weights, and what view of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.multiprocessing.reductions import StorageWeakRef

from dfa_core.errors import FeedbackError
from dfa_core.families.operations import operation
from dfa_core.weights import Function

#: A weight by its parameter's name, or a derived one by its number.
Source = str | int


class Derived(NamedTuple):
    """A tensor made by `derived_weight`, and how its counterpart is made."""

    result: Tensor
    function: Function
    names: tuple[str, ...]


class Weight(NamedTuple):
    """The weight that a saved tensor is, and how it is cut out of that weight or of another."""

    source: Source
    view: Callable[[Tensor], Tensor]


class Copy(NamedTuple):
    """The memory of a tensor that is made of parameters alone.

    Attributes:
        storage: keeps the memory's number from being given to another.
        dtype: the tensor's type.
        names: the frozen weights that it is made of.
        weight: the one that it is a cast of, or what says that it is none; None if ``names`` is empty.
    """

    storage: StorageWeakRef
    dtype: torch.dtype
    names: frozenset[str]
    weight: Weight | None


class Packed(NamedTuple):
    """A tensor that autograd saved, its version then, and the weight that it is, if it is one."""

    tensor: Tensor
    version: int
    weight: Weight | None


class SavedWeights:
    """The weights of one step, and those derived from them in its forward pass.

    Args:
        weights: the parameters to recognise, by name.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        self.weights = weights
        self.derived_ones: list[Derived] = []
        self.copies: dict[int, Copy] = {}  # by the number of their memory; see `FrozenWeights`
        # Several may lie in one memory, as parts of a flat vector.
        self._by_address: dict[int, list[tuple[range, str]]] = {}
        for name, p in weights.items():
            self._by_address.setdefault(p.untyped_storage().data_ptr(), []).append((places_of(p), name))
        self._by_identity = {id(p): name for name, p in weights.items()}
        self._types = {p.dtype for p in weights.values()}

    def derived(self, result: Tensor, function: Function, parameters: tuple[Tensor, ...]) -> None:
        """A forward pass made a weight out of parameters; see :func:`~dfa_core.derived_weight`."""
        names = [self._by_identity.get(id(p)) for p in parameters]
        known = tuple(name for name in names if name is not None)
        if len(known) == len(parameters):
            self.derived_ones.append(Derived(result, function, known))
            self._types.add(result.dtype)

    def described(self, source: Source) -> str:
        """The parameters that a weight is made of, for an error."""
        names = (source,) if isinstance(source, str) else self.derived_ones[source].names
        return "parameter " + ", ".join(f"'{name}'" for name in names)

    def recognised(self, tensor: Tensor) -> Weight | None:
        """Which weight a saved tensor is: by its memory, or as a copy in autocast's type; None for anything else."""
        if tensor.layout is not torch.strided:  # sparse: no memory of one piece, and never a weight
            return None
        address = tensor.untyped_storage().data_ptr()
        found = None
        for places, name in self._by_address.get(address, ()):
            if tensor.storage_offset() in places:
                found = Weight(name, self._view_like(tensor, self.weights[name], name))
                if tensor.dtype == self.weights[name].dtype:
                    return found
        for number, one in enumerate(self.derived_ones):
            if one.result.untyped_storage().data_ptr() == address:
                return Weight(number, self._view_like(tensor, one.result, number))
        if found is not None:
            return found
        copy = self.copies.get(memory_of(tensor)) if self.copies else None
        if copy is not None and copy.weight is not None:
            source, before = copy.weight
            view = self._view_like(tensor, torch.empty(0, dtype=copy.dtype, device="cpu"), source)
            return Weight(source, lambda twin: view(before(twin)))
        # A cast has another type than the weight; most activations have the weights' own.
        return None if self._types == {tensor.dtype} else self._recognised_cast(tensor)

    def _recognised_cast(self, tensor: Tensor) -> Weight | None:
        copy = tensor if tensor._base is None else tensor._base
        node = copy.grad_fn
        if node is None or operation(node) != "ToCopy":
            return None
        found = self._source_of(*node.next_functions[0])
        if found is None:
            return None
        source, before = found
        view = self._view_like(tensor, copy, source)
        return Weight(source, lambda twin: view(before(twin).to(copy.dtype)))

    def _source_of(self, node: Node | None, number: int) -> tuple[Source, Callable[[Tensor], Tensor]] | None:
        """The weight that an edge of the graph leads to, and what is done to it on the way."""
        if node is None:
            return None
        for index, one in enumerate(self.derived_ones):
            if one.result.grad_fn is node and one.result.output_nr == number:
                return index, lambda twin: twin
        if (variable := getattr(node, "variable", None)) is not None:
            name = self._by_identity.get(id(variable))
            return None if name is None else (name, lambda twin: twin)
        if operation(node) == "T" and (below := self._source_of(*node.next_functions[0])) is not None:
            source, before = below
            return source, lambda twin: before(twin).t()
        return None

    def _view_like(self, tensor: Tensor, base: Tensor, source: Source) -> Callable[[Tensor], Tensor]:
        """The view of a tensor like ``base`` that ``tensor`` is of ``base``."""
        if tensor.dtype != base.dtype or tensor.is_neg() != base.is_neg():
            return refusing(
                f"a layer reads {self.described(source)} through a view of another type or sign (view_as_complex, "
                "view_as_real, .imag of a conjugate)"
            )
        size, stride = tensor.size(), tensor.stride()
        offset, conjugate = tensor.storage_offset() - base.storage_offset(), tensor.is_conj() != base.is_conj()

        def view(twin: Tensor) -> Tensor:
            cut = twin.as_strided(size, stride, twin.storage_offset() + offset)
            return cut.conj() if conjugate else cut

        return view


def refusing(trouble: str) -> Callable[[Tensor], Tensor]:
    """The view of a weight that cannot be followed."""

    def refuse(twin: Tensor) -> Tensor:
        raise FeedbackError(
            f"{trouble}, which no other weight can replace on the way back: declare it by "
            "dfa_core.derived_weight(function, parameter), or give the layer the parameter itself"
        )

    return refuse


def places_of(tensor: Tensor) -> range:
    """From its first entry to its last, in the memory that it is a part of."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return range(tensor.storage_offset(), tensor.storage_offset() + last + 1)


def memory_of(tensor: Tensor) -> int:
    """A number of a tensor's memory, which its views share."""
    number: int = tensor.untyped_storage()._cdata
    return number
