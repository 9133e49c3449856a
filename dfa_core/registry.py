"""The registry: methods by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from dfa_core.errors import FeedbackError
from dfa_core.method import Method

_METHODS: dict[str, type[Method]] = {}
M = TypeVar("M", bound=type[Method])


def register(name: str) -> Callable[[M], M]:
    """Class decorator: make a :class:`~dfa_core.Method` available as ``make_method(name, …)``."""

    def add(method: M) -> M:
        if name in _METHODS:
            raise FeedbackError(
                f"a method named '{name}' is already registered ({_METHODS[name].__qualname__}): choose another name"
            )
        _METHODS[name] = method
        return method

    return add


def make_method(name: str, model: nn.Module, **options: Any) -> Method:
    """Attach the method registered as ``name`` to ``model``; ``options`` go to its constructor.

    Raises:
        FeedbackError: no such method; the message names the nearest ones.
    """
    if name not in _METHODS:
        near = difflib.get_close_matches(name, _METHODS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise FeedbackError(f"unknown method '{name}': {hint}registered are {', '.join(sorted(_METHODS))}")
    return _METHODS[name](model, **options)


def method_class(name: str) -> type[Method]:
    """The class registered as ``name`` (``KeyError`` if none is)."""
    return _METHODS[name]


def registered_methods() -> list[str]:
    """Names of all registered methods, in order of registration."""
    return list(_METHODS)
