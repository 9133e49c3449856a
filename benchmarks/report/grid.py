"""A `Table` as it stands on the page: headings that can be sorted by, and numbers that link to their records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.report.provenance import Provenance
from benchmarks.tables.build import NONE, NOT_RUN
from benchmarks.tables.data_source import STANDIN
from benchmarks.tables.text import Table


class Heading(NamedTuple):
    """A column: its text, what it is called out of its context, and whether it holds numbers."""

    text: str
    spoken: str
    numeric: bool


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


def grid(table: Table, profile: str, provenance: Provenance) -> Grid:
    """``table`` for the page."""
    sources = table.sources or [[()] * len(row) for row in table.rows]
    return Grid(
        anchor=re.sub(r"[^\w-]+", "-", f"table-{profile}-{table.name}"),
        title=table.title,
        subtitle=table.subtitle.replace("**", ""),
        standin=STANDIN in table.subtitle,
        headings=tuple(_headings(table.header, table.labels)),
        rows=tuple(
            tuple(_place(text, cells, provenance) for text, cells in zip(row, found, strict=True))
            for row, found in zip(table.rows, sources, strict=True)
        ),
        notes=tuple(table.notes),
    )


def _headings(header: Sequence[str], labels: int) -> list[Heading]:
    """Headings; a column "paper" belongs to the one on its left."""
    spoken = [
        f"paper, {left}" if text == "paper" and place >= labels else text
        for place, (left, text) in enumerate(zip(["", *header], header, strict=False))
    ]
    return [Heading(text, name, place >= labels) for place, (text, name) in enumerate(zip(header, spoken, strict=True))]


def _place(text: str, cells: Sequence, provenance: Provenance) -> ReportCell:
    return ReportCell(text, "" if text in (NONE, NOT_RUN) else provenance.anchor(cells))
