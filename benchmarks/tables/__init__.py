"""Rebuild every table from records and evidence packs.

    python -m benchmarks.tables                          rewrite results/tables/
    python -m benchmarks.tables --profile paper --show   and print that profile's tables
    python -m benchmarks.tables --results results/published --document README.md
                                                         rewrite the published ones, and the headline in a document

Tables are a pure function of the records: the same records give the same bytes, whatever the order in which
they were written, and a table without records disappears.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.catalogue.methods import method_order
from benchmarks.catalogue.metric import Metric
from benchmarks.catalogue.tables import table_specs
from benchmarks.records import metrics, paths
from benchmarks.records.aggregation import aggregate
from benchmarks.records.cells import ResultCell
from benchmarks.records.inputs import OnBad, refuse
from benchmarks.records.record import iterate_records, write_atomically
from benchmarks.tables.build import text_of
from benchmarks.tables.cost import NAME as COST
from benchmarks.tables.data_source import SOURCES, suffix_of
from benchmarks.tables.files import VARIANTS, all_results, index, paper_beside, variants_csv
from benchmarks.tables.gap import NAME as GAP
from benchmarks.tables.headline import NAME as HEADLINE
from benchmarks.tables.matrix import COLUMNS, methods_rows
from benchmarks.tables.matrix import NAME as MATRIX
from benchmarks.tables.table import Table
from benchmarks.tables.table_set import TableSet
from benchmarks.tables.text import comma_separated, latex, markdown
from benchmarks.terminal.names import inside

METHODS = "methods"  # the file behind the matrix
SUFFIXES = (".md", ".csv", ".tex")


def rebuild(tables: TableSet) -> list[Path]:
    """Rewrite ``tables/`` in the folder that the results come from; returns the files written, sorted.

    Raises:
        ValueError: a link leads out of the folder, or nothing of what is there can be read; one line. Nothing is
            written then.
    """
    results = tables.results
    if results.left_out and not results.cells:
        raise ValueError(f"{results.folder}: no record can be read; the tables stay as they are")
    folder = paths.tables(results.folder)
    texts = {folder / name: text for name, text in texts_of(tables).items()}
    for path in texts:
        inside(results.folder, path)
    for path, text in texts.items():
        if not path.is_file() or path.read_bytes() != text.encode():  # most tables are as they were, and a write waits
            write_atomically(path, text)
    _remove_former(folder, set(texts), {part.source for part in results.slices})
    return sorted(texts)


def texts_of(tables: TableSet) -> dict[str, str]:
    """The content of every file of ``tables/``, by its path there."""
    results = tables.results
    texts = {
        "all_results.csv": all_results(results.cells),
        "variants.csv": variants_csv(results.cells),
        "README.md": index(tables.tables, results.found.stale, tables.headline is not None),
    }
    if tables.matrix_table:
        texts[f"{METHODS}.csv"] = comma_separated(COLUMNS, methods_rows(tables.gaps, tables.matrix))
    for table in [*filter(None, (tables.headline, tables.matrix_table)), *tables.tables]:
        stem = f"{table.profile}/{table.name}" if table.profile else table.name
        texts |= {f"{stem}{suffix}": text for suffix, text in _texts(table)}
    return texts


def task_row(results: Path, profile: str, task: str, on_bad: OnBad = refuse) -> str:
    """`row_for` on the local records of one task, which is all a running sweep needs to read.

    They may be of real data and of stand-ins; those that the newest run used are shown. ``on_bad`` gets records that
    cannot be read, and metrics that are not known.
    """
    records = list(iterate_records(paths.records(results) / profile / task, on_bad))
    newest = max((one for one in records if one.data.get("source")), key=lambda one: one.moment, default=None)
    source = newest.data["source"] if newest else "unknown"
    return row_for([cell for cell in aggregate(records, on_bad).cells if cell.key.data_source == source], task)


def row_for(cells: Iterable[ResultCell], task: str) -> str:
    """One line on a finished task: its primary metric by method, and the paper's value beside real data."""
    chosen = [cell for cell in cells if cell.key.task == task and cell.primary and not cell.key.variant]
    if not chosen:
        return f"{task}: no result"
    chosen.sort(key=lambda cell: method_order(cell.key.method))
    metric = metrics.lookup(chosen[0].key.metric)
    return f"{task}  {metric.title}: " + " · ".join(_method_text(cell, metric) for cell in chosen)


def _method_text(cell: ResultCell, metric: Metric) -> str:
    paper = paper_beside(cell)
    return f"{cell.key.method} {text_of(cell, cell.n)}" + (f" (paper {metric.format(paper.value)})" if paper else "")


def _texts(table: Table) -> Iterator[tuple[str, str]]:
    numbers = comma_separated(table.numbers_header, table.numbers)
    yield from zip(SUFFIXES, (markdown(table), numbers, latex(table)), strict=True)


def _remove_former(folder: Path, written: set[Path], sources: Iterable[str]) -> None:
    """Delete tables of ours whose records are gone; files under any other name are left alone."""
    stems = [*(spec.name for spec in table_specs()), VARIANTS, GAP, COST]
    names = [f"{stem}{suffix_of(source)}" for stem in stems for source in {*SOURCES, *sources}]
    profiles = [path for path in folder.iterdir() if path.is_dir()]
    possible = [
        folder / HEADLINE,
        folder / MATRIX,
        folder / METHODS,
        *(profile / name for profile in profiles for name in names),
    ]
    for path in [stem.with_name(f"{stem.name}{suffix}") for stem in possible for suffix in SUFFIXES]:
        if path not in written and path.exists():
            inside(folder, path).unlink(missing_ok=True)  # another sweep that ends now may have been first
