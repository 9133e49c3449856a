"""The methods of `dfa_core` as they register themselves: settings, title, colour and place in the tables.

They are read from the source text: importing them would import PyTorch, which takes seconds, and `--help`, planning and
tables start without it. A method is a class below ``@register(…)``. What the decorator and the constructor say in
constants is all that is read.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.catalogue.domain import Architecture

#: The place of methods that do not name one: after those that do.
LAST = 1000


@dataclass(frozen=True)
class MethodEntry:
    """A registered method.

    Attributes:
        settings: the constructor's keywords with their defaults: what `method.…` can set.
        title: how it reads in a table's head.
        colour: ``#RRGGBB`` in every chart; "" for one that is free.
        order: methods stand in tables in this order, and by name where it is the same.
        like: the method whose settings a task uses where it has none for this one.
        standard: whether sweeps that name no methods have it.
        needs: what a step needs of the task besides its loss: "replay", "heads", "targets".
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    colour: str = ""
    order: int = LAST
    needs: tuple[str, ...] = ()
    standard: bool = False
    like: str = "dfa"


_OWN: dict[str, MethodEntry] = {}


@cache
def shipped_methods() -> dict[str, MethodEntry]:
    """The methods of `dfa_core` by name, in their order."""
    classes = {node.name: node for node in class_trees()}
    found = [entry for node in classes.values() for entry in _entries(node, classes)]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: (entry.order, entry.name))}


def add_method(entry: MethodEntry) -> None:
    """Make a method of the user's own known in this process."""
    _OWN[entry.name] = entry


def known_methods() -> dict[str, MethodEntry]:
    """The shipped methods by name, in their order, and after them the user's own."""
    return shipped_methods() | _OWN


def standard_methods() -> list[str]:
    """The methods of a sweep that names none: the shipped ones that are standard, and the user's own."""
    return [name for name, entry in known_methods().items() if entry.standard or name in _OWN]


def skip_reasons(architecture: Architecture) -> dict[str, str]:
    """Why an architecture does not have a method: its own word, or that it lacks what the method needs."""
    lacking = {
        method.name: architecture.lacks[need]
        for method in known_methods().values()
        for need in method.needs
        if need in architecture.lacks
    }
    return {**lacking, **architecture.skip}


def entry_for(method: str, entries: Mapping[str, str]) -> str | None:
    """A task's entry for ``method``; ``others`` speaks of all that have no entry of their own, bp excepted."""
    return entries.get(method, None if method == "bp" else entries.get("others"))


def entry_behind(name: str) -> MethodEntry:
    """The method behind a name in tables, which a task may have lengthened: ``dfa_macro`` is dfa."""
    known, base = known_methods(), name
    while base not in known and "_" in base:
        base = base.rpartition("_")[0]
    return known.get(base, MethodEntry(name))


def method_order(name: str) -> tuple[int, str]:
    """Sort key of methods in every table."""
    return (entry_behind(name).order, name)


def class_trees() -> list[ast.ClassDef]:
    """The classes of all modules that register something, as syntax trees."""
    return [node for tree in _trees() for node in tree.body if isinstance(node, ast.ClassDef)]


def _trees() -> Iterator[ast.Module]:
    """The modules of `dfa_core` that register something."""
    spec = importlib.util.find_spec("dfa_core")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(folder).rglob("*.py")):
            if "@register(" in (text := path.read_text(encoding="utf-8")):
                yield ast.parse(text)


def _entries(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Iterator[MethodEntry]:
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
            said = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
            yield MethodEntry(ast.literal_eval(call.args[0]), _settings(node, classes), **said)


def _settings(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> dict[str, Any]:
    """Keywords with constant defaults of the class's constructor, or of that which it inherits."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            pairs = zip(statement.args.kwonlyargs, statement.args.kw_defaults, strict=True)
            return {
                word.arg: value.value
                for word, value in pairs
                if word.arg != "feedback_seed" and isinstance(value, ast.Constant)
            }
    bases = (classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes)
    return next((_settings(base, classes) for base in bases), {})
