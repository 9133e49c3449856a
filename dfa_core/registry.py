"""The registry: methods by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from torch import nn

from dfa_core.errors import FeedbackError
from dfa_core.method import Method


class Registration(NamedTuple):
    """A method and how it is shown: see :func:`register`."""

    method: type[Method]
    title: str
    colour: str
    order: int
    standard: bool
    like: str


#: All that a method may need of a task.
NEEDS = frozenset({"replay", "heads", "targets"})

_METHODS: dict[str, Registration] = {}
M = TypeVar("M", bound=type[Method])


def register(
    name: str,
    *,
    title: str = "",
    colour: str = "",
    order: int = 1000,
    needs: str | Iterable[str] = (),
    standard: bool = False,
    like: str = "dfa",
) -> Callable[[M], M]:
    """Class decorator: make a :class:`~dfa_core.Method` available as ``make_method(name, …)``.

    Args:
        name: what `make_method` takes. A plugin's, which ``method=`` takes too, holds letters a-z, digits and _ . + -
            alone, and is neither a number nor ``true``, ``null`` or ``all``.
        title: how the method reads where it is shown; its name by default.
        colour: ``#RRGGBB`` in charts; one that is free by default.
        order: methods are listed in this order, and by name where it is the same.
        needs: what a step needs besides a loss, one or several: "replay", "heads", "targets"; see `Method.needs`.
        standard: whether sweeps that name no methods have it; `bp`, `dfa`, `shallow` and methods of a plugin are.
        like: the method whose settings a task uses where it has none for this one.
    """
    _check(name, order, colour, title=title, like=like)

    def add(method: M) -> M:
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise FeedbackError(f"method '{name}' is {method!r}: register a class derived from Method")
        if name in _METHODS:
            taken = _METHODS[name].method.__qualname__
            raise FeedbackError(f"a method named '{name}' is already registered ({taken}): choose another name")
        wanted = {needs} if isinstance(needs, str) else set(needs)
        if unknown := wanted - NEEDS:
            raise FeedbackError(f"method '{name}' needs {', '.join(unknown)}: choose of {', '.join(sorted(NEEDS))}")
        method.needs = method.needs | wanted
        method.compiles = method.compiles and "replay" not in method.needs
        _METHODS[name] = Registration(method, title or name, colour, order, standard, like)
        return method

    return add


def _check(name: str, order: int, colour: str, **texts: str) -> None:
    """Raise FeedbackError unless lists can be sorted by these, and charts be drawn with the colour."""
    if isinstance(name, type):
        raise FeedbackError(f"{name.__name__}: write @register(name), with the name of the method")
    for key, value in {"name": name, **texts}.items():
        if not isinstance(value, str):
            raise FeedbackError(f"method '{name}': {key}={value!r}: write a text")
    if not isinstance(order, int):
        raise FeedbackError(f"method '{name}': order={order!r}: write a whole number")
    if not (isinstance(colour, str) and re.fullmatch("|#[0-9A-Fa-f]{6}", colour)):
        raise FeedbackError(f"method '{name}': colour={colour!r}: write #RRGGBB")


def make_method(name: str, model: nn.Module, **options: Any) -> Method:
    """Attach the method registered as ``name`` to ``model``; ``options`` go to its constructor.

    Raises:
        FeedbackError: no such method; the message names the nearest ones. After this or any other error the method that
            was attached before still is.
    """
    if not isinstance(name, str):
        raise FeedbackError(f"the name of a method is a {type(name).__name__}: call make_method(name, model)")
    if name not in _METHODS:
        near = difflib.get_close_matches(name, _METHODS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise FeedbackError(f"unknown method '{name}': {hint}registered are {', '.join(sorted(_METHODS))}")
    return _METHODS[name].method(model, **options)


def method_class(name: str) -> type[Method]:
    """The class registered as ``name`` (``KeyError`` if none is)."""
    return _METHODS[name].method


def registration(name: str) -> Registration:
    """The class registered as ``name`` and how it is shown (``KeyError`` if none is)."""
    return _METHODS[name]


def registered_methods() -> list[str]:
    """Names of all registered methods, in their order; those without one come last, by name."""
    return sorted(_METHODS, key=lambda name: (_METHODS[name].order, name))
