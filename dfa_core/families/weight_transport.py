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
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from dfa_core.distributed.wrappers import Wrappers
from dfa_core.errors import FeedbackError
from dfa_core.families.exchange import Exchange
from dfa_core.families.frozen_weights import FrozenWeights
from dfa_core.families.saved_weights import SavedWeights, Source
from dfa_core.families.used_weights import Used, used_for_input_gradients
from dfa_core.layout import parameters_of
from dfa_core.method import Method
from dfa_core.recording.graph import Above
from dfa_core.recording.passes import Pass
from dfa_core.recording.recorder import Recorder
from dfa_core.recording.step import Signals, check_scalar, feedback_step
from dfa_core.supervision import Supervision
from dfa_core.weights import listening

log = logging.getLogger(__name__)


#: Hooks that compute a module's weight before each forward pass, as `nn.utils.parametrize` does by properties.
_COMPUTING_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)


class _TapRecorder(Recorder):
    """Cuts at the taps alone."""

    def __reduce__(self) -> tuple[type[Recorder], tuple[dict[str, str]]]:
        return _TapRecorder, (dict(self._tap_of),)

    def at_point(self, name: str, x: Tensor) -> Tensor:
        return x


class _Roles(NamedTuple):
    """The parameters of two or more dims, by what they are.

    Attributes:
        matrices: all of them, by name.
        weights: those that can be replaced.
        tables: the names of those that an embedding holds.
    """

    matrices: dict[str, nn.Parameter]
    weights: dict[str, nn.Parameter]
    tables: set[str]


class WeightTransport(Method):
    """Base of the methods of this family; a subclass defines :meth:`backward_weight`.

    A weight is a parameter of two or more dims, a frozen one included. It is replaced where a layer below an error tap
    needs it for the gradient of its input: not in the first layer, and not in an embedding. It is found through views
    and through autocast; a compiled model runs in eager mode. One that a layer uses through a copy, or computes from
    parameters (a mask, a norm), must be declared by :func:`~dfa_core.derived_weight`. A product of two parameters
    counts as an activation.

    Attributes:
        replaced: the weights that the last step replaced.

    Raises:
        FeedbackError: (in a step) a weight that should have been replaced was not; the loss reads an activation below
            a tap.
    """

    recorder: _TapRecorder
    compiles = False

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        for path, module in model.named_modules():
            if is_parametrized(module) or any(
                isinstance(hook, _COMPUTING_HOOKS) for hook in module._forward_pre_hooks.values()
            ):
                raise FeedbackError(
                    f"{type(self).__name__}: '{path}' computes its weight from parameters (nn.utils.parametrize, "
                    "weight_norm, spectral_norm or prune), whose own gradients need them as they are: make the weight "
                    "a parameter again, or train by another method"
                )
        self.recorder = _TapRecorder(self.layout.tap_of)
        self.layout.attach(self.recorder)
        self._wrappers = Wrappers(model)
        self.replaced: set[str] = set()
        self._saved = SavedWeights({})  # of this step
        self._twins: dict[Source, Tensor] = {}  # of this step

    def backward_weight(self, name: str, weight: Tensor) -> Tensor:
        """B of a weight W, of its shape.

        Args:
            name: the parameter's path in the model.
            weight: W, detached; not to be changed.
        """
        raise FeedbackError(f"{type(self).__name__} does not define backward_weight: define it")

    def weights(self) -> dict[str, nn.Parameter]:
        """The parameters that can be replaced: of two or more dims, and not an embedding's alone, which needs none."""
        return self._parameters_by_role().weights

    def _parameters_by_role(self) -> _Roles:
        tables: set[int] = set()
        elsewhere: set[int] = set()
        for module in self.model.modules():
            held = tables if isinstance(module, nn.Embedding | nn.EmbeddingBag) else elsewhere
            held.update(map(id, module._parameters.values()))
        matrices = {name: p for name, p in parameters_of(self.model) if p.ndim > 1}
        return _Roles(
            matrices,
            {name: p for name, p in matrices.items() if id(p) in elsewhere},
            {name for name, p in matrices.items() if id(p) in tables},
        )

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        self.layout.check_attached(self.model, self.recorder)
        roles = self._parameters_by_role()
        self._saved = SavedWeights(roles.weights)
        exchange = Exchange(self._saved, self._twin, type(self).__name__)
        frozen = self._frozen(roles)
        try:
            hooks = torch.autograd.graph.saved_tensors_hooks(exchange.pack, exchange.unpack)
            with _eagerly(), listening(self._saved), hooks, frozen or nullcontext():
                loss = closure()
            check_scalar(loss)
            above = Above.of(loss, self.recorder)
            if above.meets_below():
                raise FeedbackError(
                    "the loss reads an activation below an error tap, or a parameter with hooks is used on both sides "
                    f"of it, which {type(self).__name__} cannot tell from the path through the tap: leave that term or "
                    "these hooks out, or train by another method"
                )
            used = self._used(roles, [tap.trace.attached for tap in above.taps if tap.trace.attached is not None])
            if frozen is not None and (unsaved := frozen.unsaved(used.readers, exchange.packed)):
                raise self._not_replaced(used, unsaved)

            def from_here_on(passes: Sequence[Pass]) -> list[Signals]:
                """The errors are known: what lies above the taps is done, and the weights below are replaced."""
                exchange.begin(used.readers)
                return [{} for _ in passes]

            self.replaced.clear()
            feedback_step(loss, self.recorder, from_here_on, self._wrappers)
            self._check_replaced(used)
        finally:
            exchange.end()
            self._saved = SavedWeights({})
            self._twins.clear()
        self._report_untrained()
        return loss.detach()

    def reset(self) -> None:
        self.recorder.clear()

    def _twin(self, source: Source) -> Tensor:
        """The backward weight of a parameter, or of a derived weight, in this step."""
        if isinstance(source, str):
            self.replaced.add(source)
            if source not in self._twins:
                weight = self._saved.weights[source].detach()
                twin = self.backward_weight(source, weight)
                if twin.shape != weight.shape:
                    raise FeedbackError(
                        f"{type(self).__name__} gave '{source}' of shape {tuple(weight.shape)} a backward weight of "
                        f"shape {tuple(twin.shape)}"
                    )
                # With the weight's own strides: views of it are taken by stride.
                placed = torch.empty_like(weight)
                if placed.stride() != weight.stride():  # a part of a larger tensor
                    placed = torch.empty_strided(
                        weight.shape, weight.stride(), dtype=weight.dtype, device=weight.device
                    )
                self._twins[source] = placed.copy_(twin)
        elif source not in self._twins:
            one = self._saved.derived_ones[source]
            self._twins[source] = one.function(*(self._twin(name) for name in one.names))
        else:
            self.replaced.update(self._saved.derived_ones[source].names)
        return self._twins[source]

    def _used(self, roles: _Roles, below: Sequence[Tensor]) -> Used:
        declared = {made.result.grad_fn: made.names for made in self._saved.derived_ones if made.result.grad_fn}
        return used_for_input_gradients(below, roles.matrices, roles.tables, declared)

    def _frozen(self, roles: _Roles) -> FrozenWeights | None:
        """None where no weight is frozen: following them takes time in every operation."""
        if all(p.requires_grad for p in roles.matrices.values()):
            return None
        parameters = (p for _, p in parameters_of(self.model))
        return FrozenWeights(self._saved, roles.matrices, roles.tables, parameters)

    def _check_replaced(self, used: Used) -> None:
        """A weight that kept its place in the backward pass would be backprop, unseen."""
        if missed := (used.in_all - self.replaced) | used.computed:
            raise self._not_replaced(used, missed)
        frozen = {name for name, p in self._saved.weights.items() if not p.requires_grad}  # not in the graph
        self.replaced &= used.in_all | frozen  # cuDNN's recurrence takes all or none, and does not use the first one's

    def _not_replaced(self, used: Used, missed: set[str]) -> FeedbackError:
        wanted = used.in_all | missed
        return FeedbackError(
            f"{type(self).__name__} replaced {len(wanted) - len(missed)} of {len(wanted)} weights, but not "
            f"{', '.join(sorted(missed))}: the layer uses a copy, computes with it, gathers rows of it, uses an "
            "embedding's table, or runs within activation checkpointing; declare it by "
            "dfa_core.derived_weight(function, parameter), or hold rows that are no weights in an nn.Embedding"
        )


def _eagerly() -> AbstractContextManager[object]:
    """Run compiled models in eager mode inside the block: nothing says how compiled code keeps its weights."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
