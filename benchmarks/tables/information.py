"""The information table: what each method replaces, what crosses the network, what a step costs.

    python -m benchmarks.tables.information            print it
    python -m benchmarks.tables.information FILE.md    rewrite it between the two marks in a document

It is read from the source text, as all that methods say of themselves (`benchmarks.catalogue.methods`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tabulate import tabulate

from benchmarks.catalogue.methods import class_trees, known_methods
from benchmarks.records.record import write_atomically
from benchmarks.tables.table import Table, TableKind, labels
from benchmarks.tables.text import with_ends_of
from benchmarks.terminal import guard

BEGIN, END = "<!-- information table -->", "<!-- end of the information table -->"
_COLUMNS = (
    ("family", "family"),
    ("exact", "exact"),
    ("replaced", "replaced"),
    ("transports", "weights transported"),
    ("labels", "asks for"),
    ("space", "a layer is told"),
    ("time", "learns"),
    ("passes", "passes"),
    ("products", "products"),
    ("memory", "kept until the update"),
)


@cache
def information() -> dict[str, Mapping[str, str]]:
    """The statements of each shipped method on itself, by the method's name and then by field."""
    found: dict[str, Mapping[str, str]] = {}
    for node in class_trees():
        names = [call.args[0] for call in node.decorator_list if isinstance(call, ast.Call) and call.args]
        for statement in node.body:
            if isinstance(statement, ast.Assign) and _is_information(statement):
                assert isinstance(statement.value, ast.Call)
                said = {str(word.arg): ast.literal_eval(word.value) for word in statement.value.keywords}
                found |= {ast.literal_eval(name): said for name in names}
    return {name: found[name] for name in known_methods() if name in found}


def table() -> tuple[list[str], list[list[str]]]:
    """Headings and rows, a method a row."""
    rows = [[name, *(said[field] for field, _ in _COLUMNS)] for name, said in information().items()]
    return ["method", *(heading for _, heading in _COLUMNS)], rows


def information_table() -> Table:
    """The same for the report, beside the matrix."""
    headings, rows = table()
    return Table(
        kind=TableKind.INFORMATION,
        name="information",
        title="What crosses the network, and what a step costs",
        profile="",
        source="",
        about="F, X, W: products of a forward pass, of all gradients of inputs, of weights; about equal",
        columns=labels(*headings),
        rows=rows,
        number_columns=labels(*headings),
        numbers=rows,
    )


def markdown() -> str:
    """The table in Markdown."""
    headings, rows = table()
    return tabulate(rows, headings, tablefmt="pipe", disable_numparse=True)


def put_into(text: str) -> str:
    """A document with the table, as it is now, between its two marks.

    Raises:
        ValueError: the document has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no place for the table: write {BEGIN} and {END} where it shall stand")
    between = with_ends_of(text, f"\n{markdown()}\n")
    return f"{before}{BEGIN}{between}{END}{after}"


def _is_information(statement: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "information" for target in statement.targets)


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        sys.stdout.write(markdown() + "\n")
        return 0
    path = Path(arguments[0])
    try:
        write_atomically(path, put_into(path.read_bytes().decode()))  # as bytes: its line ends stay as they are
    except ValueError as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
