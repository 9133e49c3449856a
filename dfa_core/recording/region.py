"""The error tap of a compiled region: an operator that Python still runs whenever the compiled code does.

A compiled region records its visits when it returns, and has one backward function. Between the two nothing of this
library would run. The operator gives the recorder two moments: before a pass through the region's tap, and when a
gradient arrives at it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from dfa_core.errors import FeedbackError


class Owner(Protocol):
    """The two callbacks of a recorder."""

    def at_compiled_tap(self) -> None: ...

    def check_compiled_tap(self, gradient: Tensor) -> None: ...


# Operators take tensors and numbers, so a recorder goes by a number.
_RECORDERS: WeakValueDictionary[int, Owner] = WeakValueDictionary()
_NUMBERS = itertools.count()


def enrol(recorder: Owner) -> int:
    """The number by which operators know ``recorder``."""
    number = next(_NUMBERS)
    _RECORDERS[number] = recorder
    return number


@torch.library.custom_op("dfa_core::tap", mutates_args=())
def tap(x: Tensor, recorder: int) -> Tensor:
    """The tap's input, copied: an operator may not return what it was given."""
    _recorder(recorder).at_compiled_tap()
    return x.clone()


@torch.library.custom_op("dfa_core::tap_behind_point", mutates_args=())
def tap_behind_point(x: Tensor, attached: Tensor, recorder: int) -> Tensor:
    """`tap` where nothing that learns lies between it and the last point, so that x is a constant.

    The output requires a gradient all the same, through what is ``attached`` to the graph in front of that point.
    """
    _recorder(recorder).at_compiled_tap()
    return x.clone()


@torch.library.custom_op("dfa_core::tap_behind_point_backward", mutates_args=())
def tap_behind_point_backward(gradient: Tensor, shape: Sequence[int], recorder: int) -> Tensor:
    """The zeros that the attached tensor gets. Without an output that is used the check would not be compiled."""
    _recorder(recorder).check_compiled_tap(gradient)
    return gradient.new_zeros(shape)


@torch.library.custom_op("dfa_core::tap_backward", mutates_args=())
def tap_backward(gradient: Tensor, recorder: int) -> Tensor:
    """The gradient of the tap's output, copied."""
    _recorder(recorder).check_compiled_tap(gradient)
    return gradient.clone()


def _recorder(number: int) -> Owner:
    if number not in _RECORDERS:
        raise FeedbackError(
            "the method of this compiled model is gone: keep the method that make_method returns, and call its backward"
        )
    return _RECORDERS[number]


@tap.register_fake
def _(x: Tensor, recorder: int) -> Tensor:
    return torch.empty_like(x)


@tap_backward.register_fake
def _(gradient: Tensor, recorder: int) -> Tensor:
    return torch.empty_like(gradient)


def _keep_recorder(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.recorder = inputs[1]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    return tap_backward(gradient, ctx.recorder), None


tap.register_autograd(_backward, setup_context=_keep_recorder)


@tap_behind_point.register_fake
def _(x: Tensor, attached: Tensor, recorder: int) -> Tensor:
    return torch.empty_like(x)


@tap_behind_point_backward.register_fake
def _(gradient: Tensor, shape: Sequence[int], recorder: int) -> Tensor:
    return gradient.new_empty(shape)


def _keep_shape(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.shape, ctx.recorder = inputs[1].shape, inputs[2]


def _backward_behind_point(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
    return None, tap_behind_point_backward(gradient, ctx.shape, ctx.recorder), None


tap_behind_point.register_autograd(_backward_behind_point, setup_context=_keep_shape)
