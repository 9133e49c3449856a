"""The report's sections: what stands in each, in order. A section without content is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from markupsafe import Markup

from benchmarks.catalogue.names import title
from benchmarks.catalogue.reference import paper_place
from benchmarks.curves import AXES, Chart, TaskRuns, svgs
from benchmarks.curves.alignment import alignment_chart
from benchmarks.curves.learning import default_metrics, learning_chart
from benchmarks.records import paths
from benchmarks.report import pictures
from benchmarks.report.depth import depth_figures
from benchmarks.report.files import embeddings, other_figures, renderings, samples
from benchmarks.report.forest import Forest, svg
from benchmarks.report.gather import Material
from benchmarks.report.grid import Grid, grid
from benchmarks.report.headline import headline_figure
from benchmarks.report.heat import heat_map
from benchmarks.report.heat import svg as heat_svg
from benchmarks.report.pictures import Picture
from benchmarks.tables.claims import claims_table, read_claims
from benchmarks.tables.data_source import REAL, data_title
from benchmarks.tables.information import information_table
from benchmarks.tables.table import Table, TableKind

_LEARNING, _ALIGNMENT, _SECONDS = 2, 3, 4  # ranks of pictures
_HEADLINE = (
    "0 is training without feedback (shallow), 100 is backpropagation: (method − shallow) / (bp − shallow). "
    "Every number links to the records it came from."
)
_MATRIX = (
    "Every method on every architecture: the gap closed on the best evidence there is. A tile leads to its records; "
    "where there is no number the table below says why."
)
_TABLES = "Select a column's heading to sort by it. Notation: see How to read."
_CURVES = "Mean over seeds; the band is what they span."
_STUDIES = (
    "When and why Direct Feedback Alignment works: what the companion papers say, and whether our runs show it. The "
    "figures stand among the other figures below."
)
_COST = "Training time without evaluation and alignment, on the machine named with each record."
_DEPTH = "At the end of training, at every feedback point; from the input upwards as far as the records say."
_OVER_TIME = "Mean cosine at each feedback point while training goes on."
_EMBEDDINGS = "Hidden layers of classifiers, projected to the plane."
_RENDERINGS = "Test views after training, beside the photographs. The seed shown is the first that has a picture."
_SAMPLES = "Continuations by the trained model, of the first seed that has them."


@dataclass(frozen=True)
class Drawing:
    """A forest plot within the page."""

    svg: Markup
    kind: str = "drawing"


@dataclass(frozen=True)
class Group:
    """Blocks under a heading ("" for none)."""

    title: str
    blocks: tuple[Any, ...]


@dataclass(frozen=True)
class Section:
    """One section: groups of tables, drawings, pictures and samples."""

    anchor: str
    title: str
    intro: str
    groups: tuple[Group, ...]


class Drawn(NamedTuple):
    """A task's chart, the runs that it shows, and its drawing."""

    runs: TaskRuns
    chart: Chart
    svg: str


def sections_of(material: Material) -> list[Section]:
    """All sections that have content."""
    drawing = _drawn(material, (_learning, _alignment, _over_seconds))
    tables = _tables(material)
    learning, alignment, over_seconds = drawing
    drawn = {one.chart.name for one in learning + alignment}  # their files need not be shown as well
    made = [
        Section("headline", "Headline", _HEADLINE, tuple(_headline(material))),
        Section("matrix", "Matrix", _MATRIX, tuple(_matrix(material))),
        Section("tables", "Tables", _TABLES, tuple(_by_domain(material, tables))),
        Section("curves", "Learning curves", _CURVES, tuple(_charts(material, learning, _LEARNING))),
        Section("studies", "Companion studies", _STUDIES, tuple(_studies(material))),
        Section("cost", "Cost", _COST, tuple(_cost(material, tables, over_seconds))),
        Section("depth", "Alignment over depth", _DEPTH, tuple(_depth(material))),
        Section("alignment", "Alignment over training", _OVER_TIME, tuple(_charts(material, alignment, _ALIGNMENT))),
        Section("embeddings", "Embeddings", _EMBEDDINGS, tuple(_files(embeddings(material)))),
        Section("renderings", "Renderings", _RENDERINGS, tuple(_files(renderings(material)))),
        Section("samples", "Text samples", _SAMPLES, tuple(_files(samples(material)))),
        Section("figures", "Other figures", "", tuple(_files(other_figures(material, drawn)))),
    ]
    return [section for section in made if any(group.blocks for group in section.groups)]


def _tables(material: Material) -> list[Table]:
    """Every table: real data first, then the best profile."""
    found = [table for profile in material.profiles for table in material.tables.of(profile)]
    return sorted(found, key=lambda table: table.source != REAL)


def _headline(material: Material) -> Iterator[Group]:
    figure = headline_figure(material.tables.picks, material.provenance)
    if figure and material.tables.headline:
        yield Group("", (_drawing(figure), grid(material.tables.headline, material.provenance)))


def _matrix(material: Material) -> Iterator[Group]:
    heat = heat_map(material.tables.matrix, material.provenance)
    table = material.tables.matrix_table
    if heat and table and len(table.rows) > 1:
        yield Group("", (Drawing(Markup(heat_svg(heat, linked=True))), grid(table, material.provenance)))
        yield Group("Information", (grid(information_table(), material.provenance),))


def _studies(material: Material) -> Iterator[Group]:
    claims = read_claims(paths.claims(material.results.folder))
    if table := claims_table(claims):
        yield Group("", (grid(table, material.provenance),))


def _drawing(figure: Forest) -> Drawing:
    return Drawing(Markup(svg(figure, linked=True)))


def _by_domain(material: Material, tables: Sequence[Table]) -> Iterator[Group]:
    """Tables over several domains, those of each domain, and at the end runs with overrides."""
    shipped = [table for table in tables if table.kind in (TableKind.RESULTS, TableKind.GAP)]
    domains = sorted({table.domain for table in shipped}, key=lambda name: (bool(name), paper_place("domain", name)))
    for domain in domains:
        blocks = _grids(material, [table for table in shipped if table.domain == domain])
        yield Group(title(domain).capitalize() if domain else "All domains", blocks)
    if variants := _grids(material, [table for table in tables if table.kind is TableKind.VARIANTS]):
        yield Group("Variants", variants)


def _grids(material: Material, tables: Sequence[Table]) -> tuple[Grid, ...]:
    return tuple(grid(table, material.provenance) for table in tables)


def _learning(runs: TaskRuns) -> Chart | None:
    return learning_chart(runs, AXES["step"])


def _alignment(runs: TaskRuns) -> Chart | None:
    return alignment_chart(runs, AXES["step"])


def _over_seconds(runs: TaskRuns) -> Chart | None:
    """Quality against time: the one metric that the task is judged by."""
    return learning_chart(runs, AXES["seconds"], default_metrics(runs)[:1])


def _drawn(material: Material, kinds: Sequence[Callable[[TaskRuns], Chart | None]]) -> Iterator[list[Drawn]]:
    """The charts of each kind, in the order of `Material.runs`; they are being drawn when this returns."""
    made = [[(runs, chart) for runs in material.runs if (chart := kind(runs))] for kind in kinds]
    drawings = svgs([chart for charts in made for _, chart in charts])
    return ([Drawn(runs, chart, next(drawings)) for runs, chart in charts] for charts in made)


def _charts(material: Material, drawn: Sequence[Drawn], rank: int) -> Iterator[Group]:
    """A group per folder of tasks under one profile and data source."""
    for (profile, source, folder), members in groupby(drawn, key=_folder):
        shown = tuple(_picture(material, one, rank) for one in members)
        yield Group(f"{folder} · profile {profile} · {data_title(source)}", shown)


def _folder(drawn: Drawn) -> tuple[str, str, str]:
    runs = drawn.runs
    return runs.profile, runs.source, runs.task.partition("/")[0]


def _picture(material: Material, drawn: Drawn, rank: int) -> Picture:
    anchor = material.provenance.anchor(line.cell for line in drawn.runs.lines)
    return pictures.of_chart(drawn.chart, drawn.svg, anchor, rank)


def _cost(material: Material, tables: Sequence[Table], drawn: Sequence[Drawn]) -> Iterator[Group]:
    if blocks := _grids(material, [table for table in tables if table.kind is TableKind.COST]):
        yield Group("", blocks)
    for group in _charts(material, drawn, _SECONDS):
        yield Group(f"{group.title}: quality against training time", group.blocks)


def _depth(material: Material) -> Iterator[Group]:
    orders = {
        runs.task: history.points
        for runs in material.runs
        for line in runs.lines
        for history in line.histories
        if history.points
    }
    yield from (
        Group("", (_drawing(figure),)) for figure in depth_figures(material.results.cells, material.provenance, orders)
    )


def _files(blocks: Iterator[Any]) -> Iterator[Group]:
    if found := tuple(blocks):
        yield Group("", found)
