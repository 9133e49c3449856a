"""The matrix: every method on every architecture, the gap it closes or the reason why there is no number.

For a method on an architecture the best evidence that has a gap counts: real data before stand-ins, which are marked,
then the profile that trains most. `methods.csv` has a row for each method and dataset, the table a place for each
method and architecture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.catalogue.discovery import architectures, domains
from benchmarks.catalogue.methods import entry_behind, entry_for, known_methods, method_order, skip_reasons
from benchmarks.catalogue.names import is_tuned, title
from benchmarks.catalogue.reference import paper_place
from benchmarks.records.cells import ResultCell
from benchmarks.statistics.comparison import CONTROL, REFERENCE
from benchmarks.tables.data_source import STANDIN
from benchmarks.tables.gap import Gap, largest_samples
from benchmarks.tables.gap_text import Row, gap_text
from benchmarks.tables.headline import best_first
from benchmarks.tables.table import NOT_RUN, Behind, Column, Role, Table, TableKind, labels
from benchmarks.tables.text import exact, exact_cell

NAME = "matrix"
COLUMNS = (
    *("method", "architecture", "dataset", "metric", "mean", "std", "n", "gap_closed", "low", "high", "reason"),
    *("data_source", "profile"),
)
#: What a reason says where nobody has tried yet.
NOT_TRIED = "not run"
#: Behind a number that rests on generated data.
_MARK = "†"


@dataclass(frozen=True)
class Place:
    """A method on an architecture: its row and where that comes from; or the reason why there is none."""

    method: str
    architecture: str
    row: Row | None = None
    profile: str = ""
    source: str = ""
    reason: str = ""

    @property
    def closed(self) -> float | None:
        """The gap closed, as a fraction."""
        return self.row.comparison.gap.value if self.row and self.row.comparison.gap else None

    @property
    def text(self) -> str:
        """For a reader: the gap in percent with its interval, "–" with a reason below the table, "…" if not run."""
        if self.closed is None or self.row is None:
            return NOT_RUN if self.reason == NOT_TRIED else "–"
        return gap_text(self.row) + (f" {_MARK}" if self.source == STANDIN else "")


def columns() -> list[str]:
    """The architectures of the matrix, in the paper's order: those that have a task for every method."""
    found = [one.name for one in architectures().values() if one.representative and not one.recipe_of]
    domain_of = {one.name: name for name, domain in domains().items() for one in domain.architectures}
    return sorted(found, key=lambda one: (paper_place("domain", domain_of[one]), paper_place("architecture", one)))


def matrix_of(gaps: Sequence[Gap], cells: Iterable[ResultCell]) -> list[list[Place]]:
    """A line for each method but the two that are compared with; a place for each of `columns`.

    ``cells`` are all there are: those of skipped runs say why.
    """
    best, skipped = _best_rows(gaps), _skipped(cells)
    # Also those of plugins that are not loaded here: a table is made of the records, whoever makes it.
    every = [*known_methods(), *sorted({method for method, _ in best} - known_methods().keys())]
    methods = [name for name in every if name not in (REFERENCE, CONTROL)]
    return [
        [
            best.get((method, one)) or Place(method, one, reason=_reason(method, one, skipped) or NOT_TRIED)
            for one in columns()
        ]
        for method in methods
    ]


def matrix_table(matrix: Sequence[Sequence[Place]]) -> Table | None:
    """The matrix for a reader; None where nothing was measured."""
    lines = [line for line in matrix if any(place.row for place in line)]
    if not lines:
        return None
    notes = dict.fromkeys(
        f"{title(place.architecture)}, {place.method}: {place.reason}"
        for line in lines
        for place in line
        if place.reason not in ("", NOT_TRIED)
    )
    heads = [Column(Role.VALUE, title(one)) for one in columns()]
    return Table(
        kind=TableKind.MATRIX,
        name=NAME,
        title="Matrix: gap closed by every method on every architecture (%)",
        profile="",
        source="",
        about="the best evidence for each place: real data before stand-ins, the profile that trains most first",
        columns=[*labels("method"), *heads],
        rows=[[line[0].method, *(place.text for place in line)] for line in lines],
        number_columns=[*labels("method"), *heads],
        numbers=[
            [line[0].method, *("" if place.closed is None else exact(place.closed) for place in line)] for line in lines
        ],
        notes=[
            "0 is shallow, 100 is bp; [ ]: 95% bootstrap interval over seeds; …: not run; –: see below",
            f"{_MARK}: on generated stand-in data; not to be compared with a number on real data beside it",
            *notes,
        ],
        behind=[[(), *(_behind(place) for place in line)] for line in lines],
    )


def methods_rows(gaps: Sequence[Gap], matrix: Sequence[Sequence[Place]]) -> list[list[str]]:
    """`methods.csv`: what is behind each place of the matrix, a row for each dataset, or the reason."""
    rows: list[list[str]] = []
    by_place = {(gap.profile, gap.source): gap for gap in gaps}
    for place in (place for line in [*_controls(gaps), *matrix] for place in line):
        gap = by_place.get((place.profile, place.source))
        cells = [] if gap is None else list(_cells(gap, place))
        rows += [_csv(place, cell, row) for cell, row in cells]
        if not cells:
            rows.append([place.method, place.architecture, *[""] * 8, place.reason, place.source, place.profile])
    return rows


def _best_rows(gaps: Sequence[Gap]) -> dict[tuple[str, str], Place]:
    """The row of the best evidence that has a gap, else of the best, by method and architecture; one placement."""
    found: dict[tuple[str, str], Place] = {}
    for gap in sorted(gaps, key=lambda gap: best_first(gap.profile, gap.source)):
        rows: dict[tuple[str, str], Row] = {}
        for row in sorted(largest_samples(gap.rows), key=_mean_last):
            one = row.comparison
            if is_tuned(one.domain) or one.architecture == one.domain:
                continue
            key = (entry_behind(one.method).name, one.architecture)
            if key not in rows or one.method == rows[key].comparison.method:  # the mean over datasets comes last
                rows[key] = row
        for key, row in rows.items():
            reason = "" if row.comparison.gap else next(iter(row.comparison.remarks), "no gap")
            if key not in found or (row.comparison.gap and found[key].closed is None):
                found[key] = Place(*key, row, gap.profile, gap.source, reason)
    return found


def _mean_last(row: Row) -> tuple[object, ...]:
    return (row.comparison.tasks, method_order(row.comparison.method))


def _skipped(cells: Iterable[ResultCell]) -> dict[tuple[str, str], str]:
    """The reasons of runs that were skipped: the method found that the model does not suit it."""
    return {(entry_behind(c.key.method).name, c.architecture): c.reason for c in cells if c.skipped and c.reason}


def _reason(method: str, architecture: str, skipped: dict[tuple[str, str], str]) -> str:
    """Why an architecture does not have a method: the catalogue's word, or that of a skipped run; "" if it may."""
    said = entry_for(method, skip_reasons(architectures()[architecture]))
    return said or skipped.get((method, architecture), "")


def _controls(gaps: Sequence[Gap]) -> Iterator[list[Place]]:
    """bp and shallow, on the evidence that the best method of an architecture has; else on the best of their own."""
    best = _best_rows(gaps)
    for control in (REFERENCE, CONTROL):
        line = []
        for one in columns():
            compared = next((place for (_, name), place in best.items() if name == one), None)
            if there := compared or _evidence(gaps, control, one):
                line.append(Place(control, one, profile=there.profile, source=there.source))
            else:
                line.append(Place(control, one, reason=_reason(control, one, {}) or NOT_TRIED))
        yield line


def _evidence(gaps: Sequence[Gap], method: str, architecture: str) -> Gap | None:
    """The best evidence that has the method on the architecture, compared with others or not."""
    for gap in sorted(gaps, key=lambda gap: best_first(gap.profile, gap.source)):
        for cell in (task[method] for task in gap.tasks if method in task):
            if cell.architecture == architecture and cell.n:
                return gap
    return None


def _cells(gap: Gap, place: Place) -> Iterator[tuple[ResultCell, Row | None]]:
    """The cells of a place, each dataset's, with the row that compares it."""
    for task in gap.tasks:
        for name, cell in task.items():
            if cell.architecture == place.architecture and entry_behind(name).name == place.method and cell.n:
                shown = place.row.comparison.method if place.row else name
                if name == shown:
                    yield cell, _row_of(gap, cell)


def _row_of(gap: Gap, cell: ResultCell) -> Row | None:
    for row in gap.rows:
        one = row.comparison
        if (one.architecture, one.dataset, one.method) == (cell.architecture, cell.dataset, cell.key.method):
            return row
    return None


def _csv(place: Place, cell: ResultCell, row: Row | None) -> list[str]:
    gap = row.comparison.gap if row else None
    low, high = (gap.interval or (None, None)) if gap else (None, None)
    reason = "" if gap or row is None else next(iter(row.comparison.remarks), place.reason)
    return [
        *(place.method, cell.architecture, cell.dataset, cell.key.metric),
        *exact_cell(cell),
        *("" if value is None else exact(value) for value in (gap.value if gap else None, low, high)),
        *(reason, place.source, place.profile),
    ]


def _behind(place: Place) -> Behind:
    return () if place.row is None else place.row.bp + place.row.method + place.row.shallow
