"""A table as text: Markdown, CSV, LaTeX and a rich renderable, all from one `Table` of finished strings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table as RichTable
from tabulate import tabulate

from benchmarks.tables.data_source import REAL, data_title
from benchmarks.tables.table import Column, Role, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "…": r"\dots{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "β": r"$\beta$",
    "₂": "$_2$",
}


def markdown(table: Table) -> str:
    """GitHub-flavoured Markdown: heading, subtitle, table, notes."""
    align = ["left"] * table.labels + ["right"] * (len(table.header) - table.labels)
    body = [[_cell(text) for text in row] for row in table.rows]
    grid = tabulate(body, [*map(_cell, table.header)], tablefmt="pipe", colalign=align, disable_numparse=True)
    notes = "".join(f"\n- {note}" for note in table.notes)
    return f"# {table.title}\n\n{subtitle_markdown(table)}\n\n{grid}\n" + (f"{notes}\n" if notes else "")


def subtitle_markdown(table: Table) -> str:
    """The subtitle, its data source in bold unless the data are real."""
    if table.source in ("", REAL):
        return table.subtitle
    return table.subtitle_with(f"**{data_title(table.source)}**")


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def comma_separated(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV with Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def latex(table: Table) -> str:
    """A booktabs table to ``\\input``; needs ``\\usepackage{booktabs}``."""
    columns = "l" * table.labels + "r" * (len(table.header) - table.labels)
    lines = [" & ".join(map(_escaped, row)) + r" \\" for row in table.rows]
    caption = f"{_escaped(table.title)}. {_escaped(table.subtitle)}."
    notes = [rf"\par\footnotesize {_escaped(note)}" for note in table.notes]
    parts = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(_escaped, table.header)) + r" \\",
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        *notes,
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


_LONGEST_NAME = 24


def for_terminal(table: Table) -> RichTable:
    """The table for a rich console: the paper's value behind ours, repeated labels left out."""
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
        if column.role is Role.PAPER:
            merged[-1] += f" | {text}"
        else:
            merged.append(text.replace(" ± ", "±"))
    return merged
