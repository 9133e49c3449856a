"""Marks: where a model receives feedback and where its error is read.

A model marks its *feedback points* (the activations h_i that receive feedback) and one *error tap*
(the output whose gradient e = dL/d(output) is sent to the points). Marks are identities until a method
other than backprop is attached, and always under ``torch.no_grad()``.
"""

from __future__ import annotations

import math
import operator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from dfa_core.errors import FeedbackError
from dfa_core.structure import Structure

NO_REPLICAS = (
    "DataParallel runs copies of a model in threads, and no method is attached to those: use DistributedDataParallel, "
    "with one process a device"
)


class Recording(Protocol):
    """The protocol of recorders, to which marks report: each call returns the tensor that the mark passes on.

    without_grad: does it want to hear of passes under ``torch.no_grad()`` too?
    """

    without_grad: bool

    def at_point(self, name: str, x: Tensor) -> Tensor: ...

    def at_tap(self, name: str, x: Tensor) -> Tensor: ...


class Mark(nn.Module):
    """An identity that declares the shape of what passes through it.

    Args:
        features: the trailing, per-sample shape; an int for a vector. One feedback vector has
            ``prod(features)`` entries.
        batch_dims: how many leading dims index samples. Tokens, nodes and ray samples are samples too:
            a Transformer's ``(batch, time, width)`` has two.
        independent_dims: how many of them index samples that the network does not mix between a point and its tap; all
            by default. Tokens of a text attend to each other (1 of 2), nodes of a graph exchange messages (0 of 1).
            Methods that perturb activations need to know which changes of the output a perturbation may have caused.
        name: what the mark is called, in place of its module path. Random feedback depends on names, so a name of
            its own keeps a mark's feedback when the model around it changes.

    Attributes:
        width: length of one flattened feature vector.
    """

    kind = "mark"

    def __init__(
        self,
        features: int | tuple[int, ...],
        batch_dims: int = 1,
        *,
        independent_dims: int | None = None,
        name: str = "",
    ) -> None:
        super().__init__()
        try:
            self.features = _sizes(features)
            self.batch_dims = operator.index(batch_dims)
            self.independent_dims = self.batch_dims if independent_dims is None else operator.index(independent_dims)
        except TypeError:
            raise FeedbackError(
                f"{self.kind} with features={features!r}, batch_dims={batch_dims!r}, "
                f"independent_dims={independent_dims!r}: give whole numbers, features as one or as a tuple of them"
            ) from None
        self.width = math.prod(self.features)
        self.given_name = name
        self.name = name  # the given one, or the module path in the model; set when a method is attached
        self.recorder: Recording | None = None
        if self.batch_dims < 1 or not self.features or min(self.features) < 1:
            raise FeedbackError(
                f"{self.kind} with features={features!r}, batch_dims={batch_dims}: "
                "both must be at least 1; give the per-sample shape and the number of leading sample dims"
            )
        if not 0 <= self.independent_dims <= self.batch_dims:
            raise FeedbackError(
                f"{self.kind} with independent_dims={independent_dims}: must lie between 0 and batch_dims={batch_dims}"
            )

    def check(self, x: Tensor) -> None:
        """Raise :class:`FeedbackError` unless ``x`` is ``(*batch, *features)`` as declared, and may be cut."""
        if not isinstance(x, Tensor):
            raise FeedbackError(
                f"{self.kind} '{self.name}' got a {type(x).__name__}: pass it one tensor, such as the first entry of a "
                "layer's tuple"
            )
        if x.dim() != self.batch_dims + len(self.features) or x.shape[self.batch_dims :] != self.features:
            raise FeedbackError(
                f"{self.kind} '{self.name}' got a tensor of shape {tuple(x.shape)}, but declares "
                f"{self.batch_dims} batch dim(s) followed by features {self.features}; "
                f"construct it with the batch_dims and features of this activation"
            )
        if not torch.compiler.is_compiling() and _is_transformed(x):
            raise FeedbackError(
                f"{self.kind} '{self.name}' runs within torch.func or forward-mode differentiation, which a cut graph "
                "would answer with zeros: run the model within method.detached()"
            )

    def _replicate_for_data_parallel(self) -> Mark:
        if self.recorder is not None:
            raise FeedbackError(NO_REPLICAS)
        replica: Mark = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        return replica

    def extra_repr(self) -> str:
        return f"features={self.features}, batch_dims={self.batch_dims}" + (
            f", name={self.given_name!r}" if self.given_name else ""
        )

    def __getstate__(self) -> dict[str, Any]:
        # A copied or unpickled model starts unattached: it must not write into another model's step.
        return {**self.__dict__, "recorder": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.width = math.prod(self.features)  # marks that were pickled when it was a property have none


class FeedbackPoint(Mark):
    """Marks the activation h_i, shape ``(*batch, *features)``, as one that receives feedback.

    Place it after the activation function and the normalisation. Behind dropout, the units that a step drops
    get no signal in that step; in front of it they do. Under a feedback method the point passes on the
    activation *detached and without requiring gradients*: nothing above it computes an input gradient, and
    the layer below trains on the feedback signal alone. A loss term that is to reach the layer below (a
    penalty on h_i) reads what goes into the point, not what comes out.

    Args:
        features, batch_dims, independent_dims, name: see :class:`Mark`.
        structure: the fixed linear map from here to the tap, if the network has one; see `structural`.
    """

    kind = "feedback point"

    def __init__(
        self,
        features: int | tuple[int, ...],
        batch_dims: int = 1,
        *,
        independent_dims: int | None = None,
        structure: Structure | None = None,
        name: str = "",
    ) -> None:
        super().__init__(features, batch_dims, independent_dims=independent_dims, name=name)
        self.structure = structure

    def forward(self, x: Tensor) -> Tensor:
        if self.recorder is not None:  # alone in its line: TorchScript leaves out what follows where there is none
            return self._reported(x, self.recorder)
        return x

    def _reported(self, x: Tensor, recorder: Recording) -> Tensor:
        if not (torch.is_grad_enabled() or recorder.without_grad):
            return x
        self.check(x)
        return recorder.at_point(self.name, x)


class ErrorTap(Mark):
    """Marks the output, shape ``(*batch, *features)``, at which the error e = dL/d(output) is read.

    What lies above the tap trains by its true gradient. A tap serves the feedback points of the smallest
    module that encloses it; a model with several parts (a coarse and a fine network, say) has one each.
    """

    kind = "error tap"

    def forward(self, x: Tensor) -> Tensor:
        if self.recorder is not None:  # alone in its line: TorchScript leaves out what follows where there is none
            return self._reported(x, self.recorder)
        return x

    def _reported(self, x: Tensor, recorder: Recording) -> Tensor:
        if not (torch.is_grad_enabled() or recorder.without_grad):
            return x
        self.check(x)
        return recorder.at_tap(self.name, x)


def _sizes(features: Any) -> tuple[int, ...]:
    """The features as a tuple of Python's own integers; `TypeError` if they are none."""
    try:
        return (operator.index(features),)
    except TypeError:
        return tuple(operator.index(size) for size in features)


def _is_transformed(x: Tensor) -> bool:
    """Whether ``x`` belongs to a transform of torch.func or has a forward-mode tangent."""
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        return True
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]
