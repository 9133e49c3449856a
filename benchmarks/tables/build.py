"""From cells to a table: what stands in each place of its grid."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.catalogue.domain import TableSpec
from benchmarks.catalogue.names import title
from benchmarks.catalogue.tables import is_quoted, lacks_method
from benchmarks.records import metrics
from benchmarks.records.cells import ResultCell, Slice
from benchmarks.tables.data_source import REAL, suffix_of
from benchmarks.tables.grid import Grid, grid_of, with_published
from benchmarks.tables.places import Measure, TableCell, places_of
from benchmarks.tables.table import NONE, NOT_RUN, Behind, Column, Role, Table, TableKind, labels
from benchmarks.tables.text import exact, exact_cell

_LABELS = ("dataset", "architecture")


def build(spec: TableSpec, part: Slice, theirs: Slice | None = None) -> Table | None:
    """The table ``spec`` over the cells of one profile and data source; None where it would be empty.

    ``theirs`` are the published cells of the same profile and source: they stand beside those on the same data.
    """
    chosen = [cell for cell in part.cells if _belongs(spec, cell)]
    if not chosen:
        return None
    grid = grid_of(spec, chosen, real=part.source == REAL)
    if theirs is not None:
        belonging = [cell for cell in theirs.cells if _belongs(spec, cell)]
        grid = with_published(grid, places_of(spec, belonging, real=False))
    ours = [place.cell for place in grid.places.values() if place.cell]
    seeds = usual_n(ours)
    return Table(
        kind=TableKind.RESULTS,
        name=f"{spec.name}{suffix_of(part.source)}",
        title=spec.title,
        profile=part.profile,
        source=part.source,
        about=_about(ours, part, seeds),
        columns=[*labels(*_LABELS), *_columns(spec, grid)],
        rows=[_text_row(spec, grid, row, seeds) for row in grid.rows],
        number_columns=[*labels(*_LABELS), *_number_columns(grid)],
        numbers=[_number_row(grid, row) for row in grid.rows],
        notes=_notes(grid),
        domain=spec.domain,
        behind=[_behind_row(grid, row) for row in grid.rows],
        shown=spec.shown,
    )


def _columns(spec: TableSpec, grid: Grid) -> Iterator[Column]:
    many = len(spec.metrics) > 1
    for metric, method in grid.measures:
        heading = f"{metrics.lookup(metric).heading} {method}" if many else method
        yield Column(Role.VALUE, heading, metric, method)
        if Measure(metric, method) in grid.compared:
            yield Column(Role.PUBLISHED, "published", metric, method)
        if metric in grid.published:
            yield Column(Role.PAPER, "paper", metric, method)


def _number_columns(grid: Grid) -> Iterator[Column]:
    for metric, method in grid.measures:
        for part in ("mean", "std", "n"):
            yield Column(Role.VALUE, f"{method} {metric} {part}", metric, method, part)
        if Measure(metric, method) in grid.compared:
            for part in ("mean", "std", "n"):
                yield Column(Role.PUBLISHED, f"{method} {metric} published {part}", metric, method, part)
        if metric in grid.published:
            yield Column(Role.PAPER, f"{method} {metric} paper", metric, method, "mean")


def _belongs(spec: TableSpec, cell: ResultCell) -> bool:
    key = cell.key
    return cell.domain == spec.domain and key.metric in spec.metrics and spec.takes(key.method) and not key.variant


def usual_n(cells: Sequence[ResultCell]) -> int:
    """The number of seeds most cells have; stated once per table, and in a cell only where it differs."""
    counts = Counter(cell.n for cell in cells if cell.n)
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _about(cells: Sequence[ResultCell], part: Slice, seeds: int) -> str:
    """One line: seeds and budget."""
    budgets = sorted({(cell.budget_unit, cell.budget) for cell in cells if cell.budget is not None})
    parts = [f"{seeds} seed{'s' * (seeds != 1)}"]
    for unit in sorted({unit for unit, _ in budgets}):
        sizes = [size for name, size in budgets if name == unit]
        parts.append(f"{sizes[0]} {unit}" if len(sizes) == 1 else f"{sizes[0]}–{sizes[-1]} {unit}")
    if part.source == REAL and part.profile != "paper":
        parts.append("budget smaller than the paper's")
    return " · ".join([*parts, "mean ± std over seeds"])


def _text_row(spec: TableSpec, grid: Grid, row: tuple[str, str], seeds: int) -> list[str]:
    cells = [title(row[0]), title(row[1])]
    for measure in grid.measures:
        place = grid.places[row, measure]
        metric = metrics.lookup(measure.metric)
        if place.cell is None:
            cells.append(_absence(grid, row, measure))
        else:
            cells.append(text_of(place.cell, seeds, spec.decimals) + place.scenes)
        if measure in grid.compared:
            cells.append(text_of(place.published, 0, spec.decimals) if place.published else NONE)
        if measure.metric in grid.published:
            cells.append(NONE if place.paper is None else metric.format(place.paper.value, spec.decimals))
    return cells


def _behind_row(grid: Grid, row: tuple[str, str]) -> list[Behind]:
    """The cells behind each place of `_text_row`; published numbers have none."""
    behind: list[Behind] = [(), ()]
    for measure in grid.measures:
        empty = (measure in grid.compared) + (measure.metric in grid.published)
        behind += [grid.places[row, measure].sources, *[()] * empty]
    return behind


def text_of(cell: ResultCell, usual: int, decimals: int | None = None) -> str:
    """The text of a cell: mean ± std, with a remark where runs are missing or their number is unusual."""
    if cell.skipped:
        return NONE
    if not cell.n:
        worst = "failed" if cell.statuses.get("failed") else "diverged"
        return f"{worst} (0/{cell.runs} ok)"
    metric = metrics.lookup(cell.key.metric)
    text = metric.format(cell.mean, decimals)
    if cell.n > 1:
        text += f" ± {metric.format(cell.std, decimals)}"
    if cell.ok < cell.runs:
        return f"{text} ({cell.ok}/{cell.runs} ok)"
    return text if cell.n == usual else f"{text} (n={cell.n})"


def _absence(grid: Grid, row: tuple[str, str], measure: Measure) -> str:
    """Why nothing of ours stands here: it does not exist, its runs ended badly, or it was not run."""
    if is_quoted(row[1]) or lacks_method(row[1], measure.method):
        return NONE
    siblings = [
        place.cell
        for (where, other), place in grid.places.items()
        if where == row and other.method == measure.method and place.cell
    ]
    return next((text_of(cell, cell.n) for cell in siblings if not cell.n), NONE if siblings else NOT_RUN)


def _number_row(grid: Grid, row: tuple[str, str]) -> list[str]:
    numbers = list(row)
    for measure in grid.measures:
        place = grid.places[row, measure]
        cell = place.cell
        numbers += exact_cell(cell)
        if measure in grid.compared:
            numbers += exact_cell(place.published)
        if measure.metric in grid.published:
            numbers.append(exact(place.paper.value) if place.paper else "")
    return numbers


def _notes(grid: Grid) -> list[str]:
    """Remarks below the table: each text once, after the places it concerns."""
    texts: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for (row, measure), place in grid.places.items():
        for text in _remarks(place):
            texts[text][title(row[1])].append((title(row[0]), measure.method))
    return [f"{_where(concerned)}: {text}" for text, concerned in texts.items()]


def _where(concerned: dict[str, list[tuple[str, str]]]) -> str:
    """Architectures, each with its datasets and methods."""
    lists = {
        name: [", ".join(dict.fromkeys(part)) for part in zip(*where, strict=True)] for name, where in concerned.items()
    }
    return ", ".join(f"{name} ({'; '.join(parts)})" for name, parts in lists.items())


def _remarks(place: TableCell) -> Iterable[str]:
    if place.paper and place.paper.note:
        yield f"the paper's number: {place.paper.note}"
    if place.cell and place.cell.n and place.cell.about_data:
        yield place.cell.about_data
    if place.cell and place.cell.reason:
        bad = f"{place.cell.runs - place.cell.ok} of {place.cell.runs} not ok"
        yield f"{'not run' if place.cell.skipped else bad}: {place.cell.reason}"
    if place.left_out:
        kept, others = (", ".join(cell.key.task for cell in cells) for cells in (place.sources, place.left_out))
        yield f"runs of {kept}; those of {others} are left out"
