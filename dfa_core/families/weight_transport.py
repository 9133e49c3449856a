"""Methods that send the error through the whole graph, with other weights on the way back (family b).

    δ_{i-1} = (∂z_i/∂h_{i-1} with W_i replaced by B_i)ᵀ (φ'(z_i) ⊙ δ_i)        ΔW_i exact in its own input

The graph is cut at the error taps alone. What lies above a tap gets its true gradient. From the taps down autograd runs
as for backprop, but wherever a layer saved its weight in order to compute its input's gradient, it finds the backward
weight instead. So layers stay as they are, and everything without weights (softmax, norms, adjacency) stays exact.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils.parametrize import is_parametrized

from dfa_core.distributed.wrappers import Wrappers
from dfa_core.errors import FeedbackError
from dfa_core.families.used_weights import used_for_input_gradients
from dfa_core.layout import parameters_of
from dfa_core.method import Method
from dfa_core.recording.graph import Above
from dfa_core.recording.passes import Pass
from dfa_core.recording.recorder import Recorder
from dfa_core.recording.step import Signals, feedback_step
from dfa_core.supervision import Supervision
from dfa_core.weights import Function, listening

log = logging.getLogger(__name__)


class _TapRecorder(Recorder):
    """Cuts at the taps alone, and keeps what they were given."""

    def __init__(self, tap_of: dict[str, str]) -> None:
        super().__init__(tap_of)
        self.below: list[Tensor] = []

    def __reduce__(self) -> tuple[type[Recorder], tuple[dict[str, str]]]:
        return _TapRecorder, (dict(self._tap_of),)

    def at_point(self, name: str, x: Tensor) -> Tensor:
        return x

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        self.below.append(x)
        return super().at_tap(name, x)


class _Derived(NamedTuple):
    """A tensor made by `derived_weight`, and how its counterpart is made."""

    result: Tensor
    function: Function
    names: tuple[str, ...]


class _Saved(NamedTuple):
    """A tensor that autograd saved, and the weight that it is: a name, or the number of a derived tensor."""

    tensor: Tensor
    source: str | int
    view: Callable[[Tensor], Tensor]


class WeightTransport(Method):
    """Base of the methods of this family; a subclass defines :meth:`backward_weight`.

    A weight is a parameter of two or more dims. It is replaced where a layer below an error tap needs it for the
    gradient of its input: not in the first layer, and not in an embedding. It is found through views and through
    autocast; a compiled model runs in eager mode. One that a layer uses through a copy must be declared by
    :func:`~dfa_core.derived_weight`.

    Attributes:
        replaced: the weights that the last step replaced.

    Raises:
        FeedbackError: (in a step) a weight that should have been replaced was not; the loss reads an activation below
            a tap.
    """

    recorder: _TapRecorder

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        for path, module in model.named_modules():
            if is_parametrized(module):
                raise FeedbackError(
                    f"{type(self).__name__}: '{path}' computes its weight from parameters (nn.utils.parametrize), "
                    "whose own gradients need them as they are: remove the parametrization, or train by another method"
                )
        self.recorder = _TapRecorder(self.layout.tap_of)
        self.layout.attach(self.recorder)
        self._wrappers = Wrappers(model)
        self.replaced: set[str] = set()
        self._replacing = False
        self._weights: dict[str, nn.Parameter] = {}  # those that can be replaced, in this step
        self._names: dict[int, str] = {}  # by the address of a weight's storage
        self._checked: dict[frozenset[str], set[str]] = {}  # by what was asked for, what of it was needed
        self._derived: list[_Derived] = []
        self._twins: dict[str | int, Tensor] = {}  # of this step

    def backward_weight(self, name: str, weight: Tensor) -> Tensor:
        """B of a weight W, of its shape.

        Args:
            name: the parameter's path in the model.
            weight: W, detached; not to be changed.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward_weight")

    def weights(self) -> dict[str, nn.Parameter]:
        """The parameters that can be replaced: two or more dims, and not of an embedding, which passes nothing down."""
        of_embeddings = {
            id(module.weight) for module in self.model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)
        }
        return {n: p for n, p in self.trainable_parameters().items() if p.ndim > 1 and id(p) not in of_embeddings}

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        self.layout.check_attached(self.model, self.recorder)
        self._weights = self.weights()
        self._names = {p.untyped_storage().data_ptr(): name for name, p in self._weights.items()}
        try:
            with _eagerly(), listening(self), torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack):
                loss = closure()
            if Above.of(loss, self.recorder).meets_below():
                raise FeedbackError(
                    f"the loss reads an activation below an error tap, which {type(self).__name__} cannot tell from "
                    "the path through the tap: leave that term out, or train by another method"
                )
            self.replaced.clear()
            feedback_step(loss, self.recorder, self._from_here_on, self._wrappers)
            self._check_replaced()
        finally:
            self._replacing = False
            self.recorder.below.clear()
            self._derived.clear()
            self._twins.clear()
        self._report_untrained()
        return loss.detach()

    def reset(self) -> None:
        self.recorder.clear()
        self.recorder.below.clear()

    def derived(self, result: Tensor, function: Function, parameters: tuple[Tensor, ...]) -> None:
        """A forward pass made a weight out of parameters; see :func:`~dfa_core.derived_weight`."""
        names = {id(p): name for name, p in parameters_of(self.model)}
        if all(id(p) in names for p in parameters) and result.requires_grad:
            self._derived.append(_Derived(result, function, tuple(names[id(p)] for p in parameters)))

    def _from_here_on(self, passes: Sequence[Pass]) -> list[Signals]:
        """The errors are known: what lies above the taps is done, and the weights below are replaced."""
        self._replacing = True
        return [{} for _ in passes]

    def _pack(self, tensor: Tensor) -> Tensor | _Saved:
        return self._recognised(tensor) or tensor

    def _unpack(self, saved: Tensor | _Saved) -> Tensor:
        if isinstance(saved, Tensor):
            return saved
        if not self._replacing:
            return saved.tensor
        with torch.no_grad():
            return saved.view(self._twin(saved.source))

    def _recognised(self, tensor: Tensor) -> _Saved | None:
        """Which weight a saved tensor is: by its memory, or as a copy in autocast's type."""
        address = tensor.untyped_storage().data_ptr()
        for number, one in reversed([*enumerate(self._derived)]):
            if one.result.untyped_storage().data_ptr() == address and one.result.grad_fn is not None:
                if one.result._base is not None and address in self._names:
                    break  # a view of the parameter itself
                return _Saved(tensor, number, _view_like(tensor, one.result))
        if address in self._names:
            name = self._names[address]
            return _Saved(tensor, name, _view_like(tensor, self._weights[name]))
        return self._recognised_cast(tensor)

    def _recognised_cast(self, tensor: Tensor) -> _Saved | None:
        copy = tensor if tensor._base is None else tensor._base
        node = copy.grad_fn
        if node is None or node.name() != "ToCopyBackward0":
            return None
        source = self._source_of(*node.next_functions[0])
        if source is None:
            return None
        view = _view_like(tensor, copy)
        name, before = source
        return _Saved(tensor, name, lambda twin: view(before(twin).to(copy.dtype)))

    def _source_of(self, node: Node | None, number: int) -> tuple[str | int, Callable[[Tensor], Tensor]] | None:
        """The weight that an edge of the graph leads to, and what is done to it on the way."""
        if node is None:
            return None
        for index, one in enumerate(self._derived):
            if one.result.grad_fn is node and one.result.output_nr == number:
                return index, lambda twin: twin
        if (variable := getattr(node, "variable", None)) is not None:
            name = self._names.get(variable.untyped_storage().data_ptr())
            return None if name is None else (name, lambda twin: twin)
        if node.name() == "TBackward0" and (below := self._source_of(*node.next_functions[0])) is not None:
            name_, before = below
            return name_, lambda twin: before(twin).t()
        return None

    def _twin(self, source: str | int) -> Tensor:
        """The backward weight of a parameter, or of a derived weight, in this step."""
        if isinstance(source, str):
            self.replaced.add(source)
            if source not in self._twins:
                weight = self._weights[source].detach()
                twin = self.backward_weight(source, weight)
                if twin.shape != weight.shape:
                    raise FeedbackError(
                        f"{type(self).__name__} gave '{source}' of shape {tuple(weight.shape)} a backward weight of "
                        f"shape {tuple(twin.shape)}"
                    )
                # With the weight's own strides: views of it are taken by stride.
                self._twins[source] = torch.empty_like(weight).copy_(twin)
        elif source not in self._twins:
            one = self._derived[source]
            self._twins[source] = one.function(*(self._twin(name) for name in one.names))
        else:
            self.replaced.update(self._derived[source].names)
        return self._twins[source]

    def _check_replaced(self) -> None:
        """A weight that kept its place in the backward pass would be backprop, unseen."""
        asked_for = frozenset(self.replaced)
        if asked_for in self._checked:
            self.replaced &= self._checked[asked_for]
            return
        wanted = used_for_input_gradients(self.recorder.below, self._weights)
        if missed := sorted(wanted - self.replaced):
            raise FeedbackError(
                f"{type(self).__name__} replaced {len(wanted) - len(missed)} of {len(wanted)} weights, but not "
                f"{', '.join(missed)}: the layer uses a copy, or runs within activation checkpointing; declare a copy "
                "by dfa_core.derived_weight(function, parameter)"
            )
        self._checked[asked_for] = wanted
        self.replaced &= wanted  # some layers save a weight that they do not use


def _eagerly() -> AbstractContextManager[object]:
    """Within, compiled models run as they were written: compiled code may keep its weights as it likes."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _view_like(tensor: Tensor, base: Tensor) -> Callable[[Tensor], Tensor]:
    """The view of a tensor like ``base`` that ``tensor`` is of ``base``."""
    size, stride = tensor.size(), tensor.stride()
    offset = tensor.storage_offset() - base.storage_offset()
    return lambda twin: twin.as_strided(size, stride, twin.storage_offset() + offset)
