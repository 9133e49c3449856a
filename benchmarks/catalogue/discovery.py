"""The catalogues of all domains: a package of `benchmarks.tasks` that has a module `catalogue` is one."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from benchmarks.catalogue.domain import Architecture, Domain, Task

#: The prefix that `benchmarks.tune` puts before the domain of a task with the settings that it found.
TUNED = "tuned_"
_TASKS = Path(__file__).parents[1] / "tasks"


@cache
def domains() -> dict[str, Domain]:
    """All domains by name, in alphabetical order.

    Raises:
        ValueError: a catalogue without a domain, or two domains that share a name.
    """
    found: dict[str, Domain] = {}
    for path in sorted(_TASKS.glob("*/catalogue.py")):
        domain = getattr(importlib.import_module(f"benchmarks.tasks.{path.parent.name}.catalogue"), "DOMAIN", None)
        if not isinstance(domain, Domain):
            raise ValueError(f"{path}: write DOMAIN = Domain(…) there, as examples/spirals/catalogue.py does")
        if domain.name in found:
            raise ValueError(f"{path}: there is a domain {domain.name!r} already; choose another name")
        found[domain.name] = domain
    return dict(sorted(found.items()))


@cache
def architectures() -> dict[str, Architecture]:
    """All architectures by name, domain by domain.

    Raises:
        ValueError: two of them share a name.
    """
    found: dict[str, Architecture] = {}
    for domain in domains().values():
        for one in domain.architectures:
            if one.name in found:
                raise ValueError(f"{domain.name}: there is an architecture {one.name!r} already; choose another name")
            found[one.name] = one
    return found


@cache
def tasks() -> dict[str, Task]:
    """The tasks that need no file in conf/task, by name."""
    return {task.name: task for domain in domains().values() for task in domain.tasks}


@cache
def representatives() -> tuple[str, ...]:
    """A task for each architecture, the first of its domain's; other recipes of an architecture have none."""
    found: dict[str, str] = {}
    for domain in domains().values():
        for one in domain.architectures:
            if one.representative and not one.recipe_of:
                found[one.name] = one.representative
    return tuple(found.values())


@cache
def examples() -> tuple[str, ...]:
    """A task for each domain: its example, or the first of its representatives."""
    chosen = ((domain.example, [one.representative for one in domain.architectures]) for domain in domains().values())
    return tuple(example or next(filter(None, others), "") for example, others in chosen if example or any(others))


@cache
def current_domain(name: str) -> str:
    """The present name of the domain that earlier versions called ``name``; the prefix of a search's domain is kept."""
    if name.startswith(TUNED):
        return TUNED + current_domain(name.removeprefix(TUNED))
    return next((domain.name for domain in domains().values() if name in domain.former_names), name)
