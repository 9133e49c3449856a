"""A table as text: Markdown, CSV and LaTeX, all from one `Table` of finished strings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from benchmarks.records.cells import ResultCell
from benchmarks.tables.data_source import REAL, data_title
from benchmarks.tables.table import Table

_LATEX = str.maketrans(
    {
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
        "<": "$<$",  # LaTeX's default fonts have ¡, ¿ and a dash in these three places
        ">": "$>$",
        "|": "$|$",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "…": r"\dots{}",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "β": r"$\beta$",
        "₂": "$_2$",
    }
)


#: Characters that a formula begins with.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def markdown(table: Table) -> str:
    """GitHub-flavoured Markdown: heading, subtitle, table, notes."""
    notes = "".join(f"\n- {_inert(note)}" for note in table.notes)
    parts = (f"# {_inert(table.title)}", subtitle_markdown(table), _grid(table))
    return "\n\n".join(parts) + "\n" + (f"{notes}\n" if notes else "")


def markdown_with(document: str, table: Table) -> str:
    """``document`` with ``table`` in place of the table that begins with the same two columns.

    Raises:
        ValueError: there is no such table, or more than one.
    """
    start = [_cell(name) for name in table.header[:2]]
    lines = document.splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if _cells_of(line)[:2] == start]
    if len(found) != 1:
        count, names = len(found) or "no", " and ".join(start)
        raise ValueError(f"{count} tables that begin with the columns {names}; one is needed")
    (first,) = found
    behind = next((n for n in range(first, len(lines)) if not lines[n].startswith("|")), len(lines))
    return "".join([*lines[:first], with_ends_of(lines[first], f"{_grid(table)}\n"), *lines[behind:]])


def with_ends_of(document: str, text: str) -> str:
    """``text`` with the line ends of ``document``, to be put into it: Windows' where it has those."""
    return text.replace("\n", "\r\n") if "\r\n" in document else text


def _grid(table: Table) -> str:
    align = ["left"] * table.labels + ["right"] * (len(table.header) - table.labels)
    body = [[_cell(text) for text in row] for row in table.rows]
    return tabulate(body, [*map(_cell, table.header)], tablefmt="pipe", colalign=align, disable_numparse=True)


def _cells_of(line: str) -> list[str]:
    """The cells of a line of a Markdown table; none of any other line."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []


def subtitle_markdown(table: Table) -> str:
    """The subtitle, its data source in bold unless the data are real."""
    if table.source in ("", REAL):
        return _inert(table.subtitle)
    return _inert(table.subtitle_with(f"**{data_title(table.source)}**"))


def _cell(text: str) -> str:
    return _inert(text).replace("|", r"\|").replace("\n", " ")


def _inert(text: str) -> str:
    """``text`` without tags, links and images: names and reasons come from records, and those from anybody."""
    return text.replace("<", "&lt;").replace("](", r"]\(")


def comma_separated(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV with Unix line ends, whose texts no spreadsheet takes for formulas."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_no_formula(value) for value in row] for row in rows)
    return text.getvalue()


def _no_formula(text: str) -> str:
    """``text``, behind an apostrophe if a spreadsheet would compute it; numbers stay as they are."""
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def exact(value: float | None) -> str:
    """Six significant digits, the same on every machine; "" for what is unknown."""
    return "" if value is None or value != value else f"{value:.6g}"


def exact_cell(cell: ResultCell | None) -> list[str]:
    """Mean, standard deviation and number of seeds of a cell."""
    return [exact(cell.mean), exact(cell.std), str(cell.n)] if cell else ["", "", "0"]


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
    return text.translate(_LATEX)
