"""All tables of a result set: each is computed once, however many ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain

from benchmarks.catalogue.tables import table_specs
from benchmarks.records.cells import Slice
from benchmarks.records.result_set import ResultSet
from benchmarks.tables.build import build
from benchmarks.tables.cost import cost_table
from benchmarks.tables.files import variants_table
from benchmarks.tables.gap import Gap, gap_of, gap_table
from benchmarks.tables.headline import Pick, headline_rows, headline_table
from benchmarks.tables.table import Table, TableKind


class TableSet:
    """The tables of ``results``."""

    def __init__(self, results: ResultSet) -> None:
        self.results = results

    @cached_property
    def gaps(self) -> list[Gap]:
        """How far each method gets, by profile and data source."""
        return [gap_of(part) for part in self.results.slices]

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
        made = [list(_tables(part, gap)) for part, gap in zip(self.results.slices, self.gaps, strict=True)]
        kinds = list(TableKind)
        return sorted(chain.from_iterable(made), key=lambda table: (table.profile, kinds.index(table.kind)))

    def of(self, profile: str) -> list[Table]:
        """The tables of one profile."""
        return [table for table in self.tables if table.profile == profile]


def _tables(part: Slice, gap: Gap) -> Iterator[Table]:
    made = [*(build(spec, part) for spec in table_specs()), variants_table(part), gap_table(gap), cost_table(part)]
    yield from (table for table in made if table is not None)
