"""The networks that a domain's catalogue lists."""

from __future__ import annotations

from typing import Any

from benchmarks.catalogue.discovery import domains


def networks_of(domain: str) -> dict[str, tuple[Any, type]]:
    """Class and settings of each architecture that names its network."""
    return {one.name: (one.network_class, one.model_config) for one in domains()[domain].architectures if one.network}
