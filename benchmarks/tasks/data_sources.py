"""Datasets by name, those that lie in a domain's own package among them."""

from __future__ import annotations

from functools import cache

from benchmarks.catalogue.discovery import domains
from benchmarks.catalogue.domain import imported
from datasets import registry
from datasets.core.source import Dataset, Source


def find_dataset(name: str) -> Dataset:
    """As `datasets.registry.find_dataset`."""
    _add_own()
    return registry.find_dataset(name)


def known_datasets() -> list[str]:
    """As `datasets.registry.known_datasets`."""
    _add_own()
    return registry.known_datasets()


def resolve(dataset: str, data: str = "auto", profile: str = "quick") -> Source:
    """As `datasets.registry.resolve`."""
    _add_own()
    return registry.resolve(dataset, data, profile)


@cache
def _add_own() -> None:
    for domain in domains().values():
        for reference in domain.own_datasets:
            registry.add(imported(reference))
