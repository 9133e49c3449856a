"""The command `python -m benchmarks.tables`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import paths
from benchmarks.records.inputs import LeftOut
from benchmarks.records.record import write_atomically
from benchmarks.tables import rebuild
from benchmarks.tables.table_set import TableSet
from benchmarks.tables.text import markdown_with
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser


@guard.command
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status (2 for bad input)."""
    parser = Parser(
        prog="python -m benchmarks.tables",
        description="Rebuild the tables of a results folder from its records and evidence packs.",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--profile", help="with --show: only this profile (default: every one)")
    parser.add_argument("--show", action="store_true", help="print the tables too")
    parser.add_argument("--document", type=Path, help="a Markdown file whose headline table is renewed as well")
    chosen = parser.parse_args(arguments)
    if chosen.profile and not chosen.show:
        parser.error("--profile chooses what --show prints: add --show")
    try:
        with LeftOut() as left_out:
            tables = TableSet.load(chosen.results, left_out.add)
            if not (tables.results.runs or left_out):
                raise ValueError(f"{chosen.results}: no records or evidence packs; run a sweep first, or name another")
            if chosen.profile and chosen.profile not in tables.results.profiles:
                raise ValueError(f"{chosen.results}: no records of profile {chosen.profile}")
            document = None if chosen.document is None else _renewed(chosen.document, tables)
            files = rebuild(tables)
            if document is not None:
                write_atomically(chosen.document, document)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if chosen.show:
        from benchmarks.tables.terminal import show  # rich takes its time to import
        from benchmarks.terminal.console import make_console

        for profile in [chosen.profile] if chosen.profile else tables.results.profiles:
            show(tables, profile, make_console())
    folder = paths.tables(chosen.results)
    sys.stdout.write(f"{len(files)} files in {folder}: start at {folder / 'README.md'}\n")
    return 0


def _renewed(path: Path, tables: TableSet) -> str:
    """The document with the headline of ``tables`` in place of its own, which must be the published one."""
    folder = tables.results.folder
    if folder.resolve().name != paths.PUBLISHED:
        raise ValueError(
            f"--document takes the published headline, not that of {folder}: add --results {paths.published(folder)}"
        )
    if tables.headline is None:
        raise ValueError(f"{tables.results.folder}: no headline to put into {path}: no method can be compared")
    try:
        return markdown_with(path.read_bytes().decode(), tables.headline)  # as bytes: its line ends stay as they are
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
