"""The architectures there are: schema and builder of each. A domain is one package that lists its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

#: Packages with a `config` module that defines `ARCHITECTURES`. A new domain adds its name here.
DOMAINS = (
    "benchmarks.tasks.citation",
    "benchmarks.tasks.criteo",
    "benchmarks.tasks.view_synthesis",
    "benchmarks.tasks.language",
)


@dataclass(frozen=True)
class Architecture:
    """How to configure and build the tasks of one architecture.

    The builder is named, not imported: planning and `--help` need the schemas only, and start without PyTorch.
    """

    task_config: type
    model_config: type
    builder: str  # "package.module:callable", called with (task settings, data source, seed) → Task
    metrics: tuple[str, ...]  # what its runs measure; one of them stands in the tables

    def build(self) -> Callable[..., Any]:
        """Import and return the builder."""
        module, _, name = self.builder.partition(":")
        builder: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return builder


@cache
def architectures() -> dict[str, Architecture]:
    """All architectures by name."""
    found: dict[str, Architecture] = {}
    for domain in DOMAINS:
        found |= importlib.import_module(f"{domain}.config").ARCHITECTURES
    return found
