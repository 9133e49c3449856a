"""All tables of a result set: each is computed once, however many ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path

from benchmarks.catalogue.tables import table_specs
from benchmarks.records import paths
from benchmarks.records.cells import Slice
from benchmarks.records.inputs import OnBad, refuse
from benchmarks.records.result_set import ResultSet
from benchmarks.tables.build import build
from benchmarks.tables.cost import cost_table
from benchmarks.tables.files import variants_table
from benchmarks.tables.gap import Gap, gap_of, gap_table
from benchmarks.tables.headline import Pick, headline_rows, headline_table
from benchmarks.tables.matrix import Place, matrix_of, matrix_table
from benchmarks.tables.table import Table, TableKind


class TableSet:
    """The tables of ``results``; those of ``published`` runs give the numbers of a column of their own."""

    def __init__(self, results: ResultSet, published: ResultSet | None = None) -> None:
        self.results = results
        self._published = {(part.profile, part.source): part for part in (published.slices if published else [])}

    @classmethod
    def load(cls, results: Path, on_bad: OnBad = refuse) -> TableSet:
        """The tables of a results folder, beside its published runs if it has any.

        Raises:
            ValueError: as `ResultSet.load`.
        """
        return cls(ResultSet.load(results, on_bad), published_in(results, on_bad))

    @cached_property
    def gaps(self) -> list[Gap]:
        """How far each method gets, by profile and data source."""
        return [gap_of(part) for part in self.results.slices]

    @cached_property
    def matrix(self) -> list[list[Place]]:
        """Every method on every architecture."""
        return matrix_of(self.gaps, self.results.cells)

    @cached_property
    def matrix_table(self) -> Table | None:
        """The matrix; None where no method can be compared."""
        return matrix_table(self.matrix)

    @cached_property
    def picks(self) -> list[Pick]:
        """The rows of the headline."""
        return headline_rows(self.gaps)

    @cached_property
    def headline(self) -> Table | None:
        """The headline; None where no method can be compared."""
        return headline_table(self.picks)

    @cached_property
    def tables(self) -> list[Table]:
        """All others, by profile; within one by kind, real data before stand-ins."""
        parts = zip(self.results.slices, self.gaps, strict=True)
        made = [list(_tables(part, gap, self._published.get((part.profile, part.source)))) for part, gap in parts]
        kinds = list(TableKind)
        return sorted(chain.from_iterable(made), key=lambda table: (table.profile, kinds.index(table.kind)))

    def of(self, profile: str) -> list[Table]:
        """The tables of one profile."""
        return [table for table in self.tables if table.profile == profile]


def published_in(results: Path, on_bad: OnBad = refuse) -> ResultSet | None:
    """The published runs of a results folder; None if it has none."""
    folder = paths.published(results)
    return ResultSet.load(folder, on_bad) if paths.evidence(folder).is_dir() else None


def _tables(part: Slice, gap: Gap, published: Slice | None) -> Iterator[Table]:
    results = [build(spec, part, published) for spec in table_specs()]
    made = [*results, variants_table(part), gap_table(gap), cost_table(part)]
    yield from (table for table in made if table is not None)
