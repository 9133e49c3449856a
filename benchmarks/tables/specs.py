"""Which tables there are, and how what stands in them reads: what the catalogues of the domains say."""

from __future__ import annotations

from benchmarks.catalogue.discovery import TUNED, architectures, domains
from benchmarks.catalogue.domain import TableSpec
from benchmarks.catalogue.methods import method_order
from benchmarks.catalogue.names import is_tuned, network, title
from benchmarks.catalogue.reference import paper_place

__all__ = ["TUNED", "TableSpec", "is_quoted", "is_tuned", "method_order", "network", "table_specs", "title"]


def table_specs() -> list[TableSpec]:
    """All tables, domain by domain in the paper's order."""
    ordered = sorted(domains().values(), key=lambda domain: paper_place("domain", domain.name))
    return [table for domain in ordered for table in domain.tables]


def is_quoted(architecture: str) -> bool:
    """Whether it is a baseline that the paper quotes from others: nothing of ours will ever stand in its row."""
    return any(architecture in domain.quoted for domain in domains().values())


def is_impossible(architecture: str, method: str) -> bool:
    """Whether the architecture does not have the method."""
    known = architectures().get(architecture)
    return known is not None and method in known.skip
