"""How architectures, datasets and domains read in a table; what no catalogue knows stands under its own name."""

from __future__ import annotations

import fnmatch
from functools import cache

from benchmarks.catalogue.discovery import TUNED, domains


def is_tuned(domain: str) -> bool:
    """Whether it is that of tasks with the settings of a search, which are no rows of the shipped tasks' tables."""
    return domain.startswith(TUNED)


def shipped_name(name: str) -> str:
    """The name of the shipped domain or architecture of which a search has found other settings."""
    return name.removeprefix(TUNED)


def task_matches(task: str, pattern: str) -> bool:
    """Whether ``pattern`` means the task: its name, its folder (``citation``) or a glob (``citation/*_cora``)."""
    return fnmatch.fnmatch(task, pattern) or task.startswith(f"{pattern.rstrip('/')}/")


def title(name: str) -> str:
    """How ``name`` (an architecture, a dataset, a scene, a domain) reads in a table."""
    if is_tuned(name):
        return f"{title(shipped_name(name))} (tuned)"
    known, (family, slash, scene) = _titles(), name.partition("/")
    return known.get(name) or known.get(family, family) + (f" {scene}" if slash else "")


def network(domain: str, architecture: str) -> str:
    """How an architecture of ``domain`` reads: that of a searched task is told apart from the shipped one."""
    return title(f"{TUNED}{shipped_name(architecture)}" if is_tuned(domain) else architecture)


def sample_of(dataset: str) -> tuple[str, int]:
    """The data that a dataset is a sample of, and its place among those samples; itself and 0 where it is none."""
    return _samples().get(dataset, (dataset, 0))


@cache
def _samples() -> dict[str, tuple[str, int]]:
    every = (item for domain in domains().values() for item in domain.samples.items())
    return {sample: (whole, place) for whole, samples in every for place, sample in enumerate(samples, 1)}


@cache
def _titles() -> dict[str, str]:
    found: dict[str, str] = {}
    for domain in domains().values():
        found |= {name.removesuffix("/*"): title for name, title in domain.datasets.items()}
        found |= {one.name: one.title for one in domain.architectures} | dict(domain.quoted)
        found[domain.name] = domain.title
    return found
