"""Which rows and columns a table has, and which cell stands at each place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from benchmarks.catalogue.domain import TableSpec
from benchmarks.catalogue.methods import method_order
from benchmarks.catalogue.reference import Key, paper_place, published
from benchmarks.catalogue.tables import is_quoted
from benchmarks.records.cells import ResultCell
from benchmarks.tables.places import Measure, TableCell, places_of
from benchmarks.tables.scenes import scenes_of


@dataclass(frozen=True)
class Grid:
    """A table before it becomes text: rows are (dataset, architecture)."""

    rows: list[tuple[str, str]]
    measures: list[Measure]
    places: dict[tuple[tuple[str, str], Measure], TableCell]
    published: frozenset[str]  # metrics that the paper's numbers stand beside

    @cached_property
    def compared(self) -> set[Measure]:
        """Measures that published runs stand beside, in some row."""
        return {measure for (_, measure), place in self.places.items() if place.published}


def grid_of(spec: TableSpec, cells: list[ResultCell], real: bool) -> Grid:
    """Rows and columns: the paper's in its order, then everything else that was run."""
    wanted = [key for key in published() if _in_paper(spec, key)]
    places = places_of(spec, cells, real)
    datasets = _in_order("dataset", [key.dataset for key in wanted], {row[0] for row, _ in places})
    names = _in_order("architecture", [key.architecture for key in wanted], {row[1] for row, _ in places})
    run = {row for row, _ in places}
    # Stand-in tables show the datasets that were run; tables of real data show all that could be.
    paper_rows = {
        (key.dataset, key.architecture)
        for key in wanted
        if real or (key.dataset in {dataset for dataset, _ in run} and not is_quoted(key.architecture))
    }
    rows = sorted(run | paper_rows, key=lambda row: (datasets.index(row[0]), names.index(row[1])))
    methods = {key.method for key in wanted} | {measure.method for _, measure in places}
    in_paper = {key.metric for key in wanted}
    shown = [name for name in spec.metrics if name in in_paper | {measure.metric for _, measure in places}]
    measures = [Measure(metric, method) for metric in shown for method in sorted(methods, key=method_order)]
    papers = {((key.dataset, key.architecture), Measure(key.metric, key.method)): published()[key] for key in wanted}
    full = {
        (row, measure): places.get((row, measure), TableCell(None, papers.get((row, measure)) if real else None))
        for row in rows
        for measure in measures
    }
    return Grid(rows, measures, full, frozenset(in_paper if real else ()))


def _in_order(part: str, wanted: Iterable[str], run: Iterable[str]) -> list[str]:
    """The paper's names as it has them in this table, then the others."""
    return list(dict.fromkeys([*wanted, *sorted(run, key=lambda name: paper_place(part, name))]))


def with_published(grid: Grid, theirs: Mapping[tuple[tuple[str, str], Measure], TableCell]) -> Grid:
    """The grid with the published cell at each place whose runs read the same data, all scenes of a mean alike."""
    places = dict(grid.places)
    for where, place in grid.places.items():
        other = theirs.get(where)
        if place.cell and other and other.cell and _data_of(other) == _data_of(place):
            places[where] = place._replace(published=other.cell)
    return replace(grid, places=places)


def _data_of(place: TableCell) -> set[tuple[str, str]]:
    """The datasets that gave the number of a place, with their fingerprints; all of them where none gave any."""
    behind = [cell for cell in place.sources if cell.n] or place.sources
    return {(cell.dataset, cell.fingerprint) for cell in behind}


def _in_paper(spec: TableSpec, key: Key) -> bool:
    in_table = key.domain == spec.domain and key.metric in spec.metrics and spec.takes(key.method)
    return in_table and ("/" in key.dataset) == (spec.scenes == "each" and bool(scenes_of(key.dataset)))
