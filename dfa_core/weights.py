"""Weights that a forward pass uses through a copy, declared so that other weights can take their place backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from torch import Tensor

Function = Callable[..., Tensor]


class Listener(Protocol):
    """An object that is told which tensors were derived from parameters."""

    def derived(self, result: Tensor, function: Function, parameters: tuple[Tensor, ...]) -> None: ...


_LISTENERS: list[Listener] = []


def derived_weight(function: Function, *parameters: Tensor) -> Tensor:
    """``function(*parameters)``, for a weight that is no mere view of a parameter (stacked, padded, split and cast).

    Feedback alignment and its relatives give the backward pass another weight in its place: the same function of other
    parameters. They find views by themselves.
    """
    result = function(*parameters)
    for listener in _LISTENERS:
        listener.derived(result, function, parameters)
    return result


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of every :func:`derived_weight` inside the block."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)
