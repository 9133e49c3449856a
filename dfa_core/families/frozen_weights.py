"""Frozen weights, followed through a forward pass: autograd's graph does not have them, nor what is made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from dfa_core.families.operations import ADDEND, ADDING, COMPUTING, GATHERING, JOINING
from dfa_core.families.saved_weights import Copy, SavedWeights, Weight, memory_of, places_of, refusing

#: New tensors of numbers alone, into which a weight may be copied.
_NEW = {"Empty", "EmptyStrided", "Eye", "Full", "Ones", "Zeros"}
_ENTRYWISE = ADDING | COMPUTING | JOINING | {"Copy"}
Names = frozenset[str]
_NONE: Names = frozenset()


class _Read(NamedTuple):
    """An operation between a frozen weight, or a tensor made of it, and an activation.

    Attributes:
        result: what the operation gave, until autograd has put it into the graph.
        weights: the names of the weights, by the memory that they were read from.
    """

    result: Tensor
    weights: dict[int, Names]


class FrozenWeights(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees the operations of a forward pass, and tells ``saved`` which tensors are copies of frozen weights.

    A tensor is made of parameters by the same operations as in :mod:`dfa_core.families.used_weights`. A cast is
    recognised as the weight in another type; anything else that is computed of a weight may stand in no layer.

    Args:
        saved: the weights of the step.
        matrices: the parameters of two or more dims, by name.
        tables: the names of those that an embedding holds.
        parameters: all parameters.
    """

    supports_higher_order_operators = True

    def __init__(
        self,
        saved: SavedWeights,
        matrices: Mapping[str, nn.Parameter],
        tables: Set[str],
        parameters: Iterable[Tensor],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._saved, self._tables = saved, tables
        frozen = {id(p): name for name, p in matrices.items() if not p.requires_grad and _is_counted(p)}
        self._parameters: dict[int, list[tuple[range, Names]]] = {}
        for p in parameters:
            if p.layout is torch.strided and p.numel():
                names = frozenset((frozen[id(p)],)) if id(p) in frozen else _NONE
                self._parameters.setdefault(memory_of(p), []).append((places_of(p), names))
        self._last: _Read | None = None
        self._reads: list[tuple[Node, dict[int, Names]]] = []

    def unsaved(self, readers: Collection[Node], saved: Collection[int]) -> set[str]:
        """The weights that ``readers`` read from memory that is not among what the step's hooks ``saved``."""
        self._finish_last()
        return {
            name
            for node, weights in self._reads
            if node in readers
            for memory, names in weights.items()
            if memory not in saved
            for name in names
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._finish_last()
        result = func(*args, **(kwargs or {}))
        name = _name_of(func)
        inputs = [tensor for tensor in _tensors(args) if _is_counted(tensor)]
        made_of = [self._names(tensor) for tensor in inputs]
        self._note_read(name, inputs, made_of, result)
        for output in _tensors((result,)):
            if _is_counted(output):
                self._note_made(func, name, inputs, made_of, output)
        return result

    def _finish_last(self) -> None:
        last, self._last = self._last, None
        if last is not None and last.result.grad_fn is not None:
            self._reads.append((last.result.grad_fn, last.weights))

    def _names(self, tensor: Tensor) -> Names | None:
        """The frozen weights that a tensor is made of, if it is made of parameters and numbers alone."""
        memory = memory_of(tensor)
        for places, names in self._parameters.get(memory, ()):
            if tensor.storage_offset() in places:
                return names
        copy = self._saved.copies.get(memory)
        return None if copy is None else copy.names

    def _note_read(self, name: str, inputs: Sequence[Tensor], made_of: Sequence[Names | None], result: Any) -> None:
        pairs = list(zip(inputs, made_of, strict=True))
        if not any(made_of) or not any(tensor.requires_grad for tensor, names in pairs if names is None):
            return
        addend = ADDEND.get(name)
        weights = {memory_of(tensor): names for place, (tensor, names) in enumerate(pairs) if names and place != addend}
        if (output := next(_tensors((result,)), None)) is not None and weights:
            self._last = _Read(output, weights)

    def _note_made(
        self, func: Any, name: str, inputs: Sequence[Tensor], made_of: Sequence[Names | None], output: Tensor
    ) -> None:
        memory, saved = memory_of(output), self._saved
        if memory in self._parameters:  # a view of one, or several parameters and more in one memory
            return
        names = self._made(name, inputs, made_of, output)
        if names is None:
            saved.copies.pop(memory, None)
        elif memory not in saved.copies or _changes(func):
            source = saved.recognised(inputs[0]) if name == "ToCopy" and names else None
            weight = _computed(names) if source is None else _cast(source, output)
            saved.copies[memory] = Copy(_weakly(output), output.dtype, names, weight)

    def _made(
        self, name: str, inputs: Sequence[Tensor], made_of: Sequence[Names | None], output: Tensor
    ) -> Names | None:
        known = [names for names in made_of if names is not None]
        together = _NONE.union(*known)
        if not inputs:
            return _NONE if name in _NEW else None
        if name in GATHERING:
            return together - self._tables or None
        if len(known) == len(inputs):
            return together if len(inputs) == 1 or name in _ENTRYWISE else None
        # As in the graph: the other operand is a number, a mask, or data, and data have samples.
        pairs = list(zip(inputs, made_of, strict=True))
        largest = max((tensor.numel() for tensor, names in pairs if names is not None), default=-1)
        active = any(tensor.requires_grad for tensor, names in pairs if names is None)
        return together if name in COMPUTING and not active and output.numel() <= largest else None


def _cast(source: Weight, copy: Tensor) -> Weight:
    size, stride, dtype, device = copy.size(), copy.stride(), copy.dtype, copy.device

    def view(twin: Tensor) -> Tensor:
        return torch.empty_strided(size, stride, dtype=dtype, device=device).copy_(source.view(twin))

    return Weight(source.source, view)


def _computed(names: Names) -> Weight | None:
    parameters = ", ".join(f"'{name}'" for name in sorted(names))
    trouble = f"a layer uses a copy of frozen parameter {parameters}, computes with it, or gathers rows of it"
    return Weight(min(names), refusing(trouble)) if names else None


def _changes(function: Any) -> bool:
    """Whether an operator works in place; a higher-order one has no schema, and does not."""
    schema = getattr(function, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _weakly(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _is_counted(tensor: Tensor) -> bool:
    """Whether a tensor may be a weight, an activation, or made of them: no index and no mask."""
    return tensor.layout is torch.strided and (tensor.is_floating_point() or tensor.is_complex())


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among an operation's arguments or results, which may be in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


@cache
def _name_of(function: Any) -> str:
    """The name of an operator as autograd's graph has it: ``aten::index_select`` is ``IndexSelect``."""
    name = str(function).split(".")[1] if "." in str(function) else str(function)
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
