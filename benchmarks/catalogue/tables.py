"""Which tables there are, and which of their places stay empty for good."""

from __future__ import annotations

from benchmarks.catalogue.discovery import architectures, domains
from benchmarks.catalogue.domain import TableSpec
from benchmarks.catalogue.reference import paper_place


def table_specs() -> list[TableSpec]:
    """All tables, domain by domain in the paper's order."""
    ordered = sorted(domains().values(), key=lambda domain: paper_place("domain", domain.name))
    return [table for domain in ordered for table in domain.tables]


def is_quoted(architecture: str) -> bool:
    """Whether it is a baseline that the paper quotes from others: nothing of ours will ever stand in its row."""
    return any(architecture in domain.quoted for domain in domains().values())


def lacks_method(architecture: str, method: str) -> bool:
    """Whether the architecture does not have the method."""
    known = architectures().get(architecture)
    return known is not None and method in known.skip


def is_recipe(architecture: str) -> bool:
    """Whether it is another recipe of an architecture, without bp and shallow of its own to be compared with."""
    known = architectures().get(architecture)
    return known is not None and bool(known.recipe_of)
