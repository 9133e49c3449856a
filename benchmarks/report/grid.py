"""A `Table` as it stands on the page: headings that can be sorted by, and numbers that link to their records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.report.provenance import Provenance
from benchmarks.tables.data_source import STANDIN
from benchmarks.tables.table import NONE, NOT_RUN, Behind, Column, Role, Table


class Heading(NamedTuple):
    """A column: its text, what it is called out of its context, and whether it holds numbers, and published ones."""

    text: str
    spoken: str
    numeric: bool
    paper: bool


class ReportCell(NamedTuple):
    """One place: its text, and the anchor of the records behind it."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Grid:
    """A table of the page."""

    anchor: str
    title: str
    subtitle: str
    standin: bool
    headings: tuple[Heading, ...]
    rows: tuple[tuple[ReportCell, ...], ...]
    notes: tuple[str, ...]
    kind: str = "table"


def grid(table: Table, provenance: Provenance) -> Grid:
    """``table`` for the page."""
    behind = table.behind or [[()] * len(row) for row in table.rows]
    return Grid(
        anchor=re.sub(r"[^\w-]+", "-", f"table-{table.profile or 'all'}-{table.name}"),
        title=table.title,
        subtitle=table.subtitle,
        standin=table.source == STANDIN,
        headings=tuple(_headings(table.columns)),
        rows=tuple(
            tuple(_place(text, cells, provenance) for text, cells in zip(row, found, strict=True))
            for row, found in zip(table.rows, behind, strict=True)
        ),
        notes=tuple(table.notes),
    )


def _headings(columns: Sequence[Column]) -> Iterator[Heading]:
    """Headings; a column of published numbers belongs to the one on its left."""
    left = ""
    for role, text, *_ in columns:
        paper = role is Role.PAPER
        yield Heading(text, f"{text}, {left}" if paper else text, role is not Role.LABEL, paper)
        left = text


def _place(text: str, cells: Behind, provenance: Provenance) -> ReportCell:
    return ReportCell(text, "" if text in (NONE, NOT_RUN) else provenance.anchor(cells))
