"""Rebuild every table from records and evidence packs.

    python -m benchmarks.tables                          rewrite results/tables/
    python -m benchmarks.tables --profile paper --show   and print that profile's tables

Tables are a pure function of the records: the same records give the same bytes, whatever the order in which
they were written, and a table without records disappears.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from benchmarks.records import metrics
from benchmarks.records.cells import CellSet, ResultCell, aggregate
from benchmarks.records.inputs import BadInput, OnBad, refuse
from benchmarks.records.packs import gather
from benchmarks.records.record import iterate_records, write_atomically
from benchmarks.tables.build import build, text_of
from benchmarks.tables.cost import NAME as COST
from benchmarks.tables.cost import cost_table
from benchmarks.tables.files import all_results, index, variants_csv, variants_table
from benchmarks.tables.gap import NAME as GAP
from benchmarks.tables.gap import gap_table
from benchmarks.tables.headline import NAME as HEADLINE
from benchmarks.tables.headline import headline_table
from benchmarks.tables.reference import beside
from benchmarks.tables.specs import method_order, table_specs
from benchmarks.tables.text import Table, comma_separated, for_terminal, latex, markdown
from benchmarks.terminal.names import inside

SUFFIXES = (".md", ".csv", ".tex")


def rebuild(results: Path, on_bad: OnBad = refuse) -> list[Path]:
    """Rewrite ``results/tables`` from what ``results`` holds; returns the files written, sorted.

    ``on_bad`` gets records, packs and metrics that cannot be read.

    Raises:
        ValueError: a link leads out of the folder, or nothing of what is there can be read; one line. Nothing is
            written then.
    """
    bad = False

    def note(error: BadInput) -> None:
        nonlocal bad
        bad = True
        on_bad(error)

    found = aggregate(gather(results, note), note)
    if bad and not found.cells:
        raise ValueError(f"{results}: no record can be read; the tables stay as they are")
    profiles = sorted({cell.key.profile for cell in found.cells})
    tables = {profile: tables_of(found, profile) for profile in profiles}
    headline = headline_table(found.cells)
    folder = results / "tables"
    texts = {
        folder / "all_results.csv": all_results(found.cells),
        folder / "variants.csv": variants_csv(found.cells),
        folder / "README.md": index(tables, found, headline is not None),
    }
    if headline is not None:
        texts |= {folder / f"{HEADLINE}{suffix}": text for suffix, text in _texts(headline)}
    for profile, built in tables.items():
        for table in built:
            texts |= {folder / profile / f"{table.name}{suffix}": text for suffix, text in _texts(table)}
    for path in texts:
        inside(results, path)
    for path, text in texts.items():
        write_atomically(path, text)
    _remove_former(folder, set(texts))
    return sorted(texts)


def tables_of(found: CellSet, profile: str, shown_only: bool = False) -> list[Table]:
    """The tables of one profile, real data before stand-ins."""
    sources = sorted({cell.key.data_source for cell in found.cells if cell.key.profile == profile})
    specs = [spec for spec in table_specs() if spec.shown or not shown_only]
    built = [build(spec, found.cells, profile, source) for source in sources for spec in specs]
    built += [variants_table(found.cells, profile, source) for source in sources]
    built += [gap_table(found.cells, profile, source) for source in sources]
    built += [cost_table(found.cells, profile, source) for source in sources]
    return [table for table in built if table is not None]


def show(results: Path, profile: str, console: Console, on_bad: OnBad = refuse) -> None:
    """Print the tables of ``profile``, and which runs were left out or did not end well; ``on_bad`` as in `rebuild`."""
    found = aggregate(gather(results, on_bad), on_bad)
    tables = tables_of(found, profile, shown_only=True)
    for table in tables:
        console.print(for_terminal(table))
        console.print()
    if not tables:
        console.print(f"no records of profile {profile} in {results}", markup=False)
    for stale in found.stale:
        if stale.profile == profile:
            console.print(str(stale), markup=False, style="yellow")


def task_row(results: Path, profile: str, task: str, on_bad: OnBad = refuse) -> str:
    """`row_for` on the local records of one task, which is all a running sweep needs to read; ``on_bad`` as above.

    They may be of real data and of stand-ins; those that the newest run used are shown.
    """
    records = list(iterate_records(results / "records" / profile / task, on_bad))
    newest = max((one for one in records if one.data.get("source")), key=lambda one: one.finished, default=None)
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


def _method_text(cell: ResultCell, metric: metrics.Metric) -> str:
    paper = beside(cell)
    return f"{cell.key.method} {text_of(cell, cell.n)}" + (f" (paper {metric.format(paper.value)})" if paper else "")


def _texts(table: Table) -> list[tuple[str, str]]:
    return list(
        zip(
            SUFFIXES,
            (markdown(table), comma_separated(table.numbers_header, table.numbers), latex(table)),
            strict=True,
        )
    )


def _remove_former(folder: Path, written: set[Path]) -> None:
    """Delete tables of ours whose records are gone; files under any other name are left alone."""
    names = {spec.name for spec in table_specs()} | {"variants", GAP, COST, HEADLINE}
    for path in [*folder.glob("*/*"), *folder.glob(f"{HEADLINE}.*")]:
        stem = path.stem if path.stem in names else path.stem.rpartition("_")[0]
        if path.suffix in SUFFIXES and stem in names and path not in written:
            inside(folder, path).unlink(missing_ok=True)  # another sweep that ends now may have been first
