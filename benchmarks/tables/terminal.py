"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from benchmarks.tables.table import Column, Role, Table
from benchmarks.tables.table_set import TableSet

_LONGEST_NAME = 24


def show_headline(tables: TableSet, profile: str, console: Console) -> None:
    """Print the headline of one profile's runs."""
    headline = TableSet(tables.results.select([profile])).headline
    if headline is not None:
        console.print(for_terminal(headline))
    else:
        console.print(f"profile {profile}: nothing to compare a method with yet", markup=False)


def show(tables: TableSet, profile: str, console: Console) -> None:
    """Print the tables of ``profile``, and which runs were left out."""
    shown = [table for table in tables.of(profile) if table.shown]
    for table in shown:
        console.print(for_terminal(table))
        console.print()
    if not shown:
        console.print(f"no records of profile {profile} in {tables.results.folder}", markup=False)
    for stale in tables.results.found.stale:
        if stale.profile == profile:
            console.print(str(stale), markup=False, style="yellow")


def for_terminal(table: Table) -> RichTable:
    """The table for a rich console: published values behind ours, repeated labels left out."""
    caption = "\n".join([table.subtitle, *table.notes])
    grid = RichTable(title=table.title, caption=caption, box=SIMPLE, padding=(0, 0, 0, 1))
    grid.title_style, grid.title_justify, grid.caption_justify = "bold", "left", "left"
    for place, heading in enumerate(_merged(table.header, table.columns)):
        if place < table.labels:  # names stay whole; the text of an override may take several lines
            whole = max(len(row[place]) for row in table.rows) <= _LONGEST_NAME
            grid.add_column(escape(heading), no_wrap=whole, overflow="fold")
        else:
            grid.add_column(escape(heading), justify="right", overflow="fold")
    former = ""
    for row in table.rows:
        first, *rest = _merged(row, table.columns)
        grid.add_row(*map(escape, ["" if first == former else first, *rest]))
        former = first
    return grid


def _merged(row: Sequence[str], columns: Sequence[Column]) -> list[str]:
    """``row`` with each published number joined to the one before it."""
    merged: list[str] = []
    for text, column in zip(row, columns, strict=True):
        if column.role in (Role.PUBLISHED, Role.PAPER):
            merged[-1] += f" | {text}"
        else:
            merged.append(text.replace(" ± ", "±"))
    return merged
