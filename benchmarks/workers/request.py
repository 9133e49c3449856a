"""A sweep's command line, and the part of it that is passed on to the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.settings import capacity
from benchmarks.settings.overrides import Overrides, plugins_named_in
from benchmarks.settings.quoting import quoted, with_list_of_plugins
from benchmarks.terminal.arguments import parse_seeds
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import shortened
from benchmarks.workers.plan import Selection

_KEYS = ("profile", "tasks", "methods", "seeds", "jobs", "results", "plugins", "show")

_SINGULAR = {"task": "tasks", "method": "methods", "seed": "seeds", "plugin": "plugins", "job": "jobs"}


@dataclass
class Arguments:
    """The command line."""

    selection: Selection
    jobs: int | None  # None: as many as there is room for, see `jobs_for`
    results: Path
    plugins: list[str]
    show_all: bool = False  # whether every table is printed at the end


def parse(arguments: Sequence[str]) -> Arguments:
    """Split the command line into what the sweep takes and what it passes on to the runs.

    Raises:
        UsageError: an argument that is not key=value, or whose value cannot be read.
    """
    taken = dict.fromkeys(_KEYS, "") | {"profile": "quick", "results": "results"}
    passed_on: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or argument.startswith("-"):
            raise UsageError(f"'{shortened(argument)}': write key=value; see python -m benchmarks.sweep --help")
        bare = key.lstrip("+~")
        if bare in _SINGULAR:
            raise UsageError(f"'{shortened(argument)}': a sweep takes {_SINGULAR[bare]}=...")
        if bare.startswith("hydra"):
            raise UsageError(f"'{shortened(argument)}': Hydra's own settings are for benchmarks.run; leave it out")
        if bare in taken and bare != key:
            raise UsageError(f"'{shortened(argument)}': write {bare}=...")
        if key in taken:
            taken[key] = value or taken[key]  # an empty value (a make variable not set) means the default
        else:
            passed_on.append(argument)
    if taken["results"] != "results":
        passed_on.append(f"results={quoted(taken['results'])}")
    selection = Selection(
        profile=taken["profile"],
        tasks=_listed(taken["tasks"]),
        methods=_listed(taken["methods"]),
        seeds=parse_seeds(taken["seeds"]) if taken["seeds"] else None,
        overrides=Overrides.of(passed_on),
    )
    return Arguments(
        selection,
        parse_jobs(taken["jobs"]),
        Path(taken["results"]),
        plugins_named_in([with_list_of_plugins(f"plugins={taken['plugins']}")]),
        show_all=_shows_all(taken["show"]),
    )


def parse_jobs(text: str) -> int | None:
    """The number of processes that ``jobs=`` asks for; None for an empty text.

    Raises:
        UsageError: it is no number, or more than this machine can bear.
    """
    if not text:
        return None
    most = capacity.most_threads()
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= most):
        raise UsageError(f"jobs='{shortened(text)}': give the number of processes, from 1 to {most} on this machine")
    return int(text)


def _shows_all(text: str) -> bool:
    if text not in ("", "all", "headline"):
        raise UsageError(f"show={shortened(text)}: choose headline or all")
    return text == "all"


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]
