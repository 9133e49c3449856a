"""Charts as SVG: the same numbers give the same bytes, whatever the day and the user's matplotlib settings.

Text stays text (small files, searchable), in a sans-serif font of the viewer's. Methods differ in colour and in
dash pattern, so that they can be told apart with any colour vision; the first colours are Okabe and Ito's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any, NamedTuple, cast

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from benchmarks.catalogue.methods import entry_behind, known_methods
from benchmarks.curves.chart import Chart, Panel, Series

WIDTH = 7.3  # inches of 72 points, 96 pixels: 700 pixels
PANEL_HEIGHT = 2.5
_LONGEST = 105  # characters that fit into the width
_GREY = "#555555"
_PLAIN = FuncFormatter(lambda value, _: f"{value:,.10g}")
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.handlelength": 3.0,  # a dash pattern needs room to be seen
    "path.simplify": False,  # every value stays in the file
}


Dashes = str | tuple[float, tuple[float, ...]]


class _Look(NamedTuple):
    colour: str
    dashes: Dashes


# Not (0, ()) for a solid line: it becomes an empty dash array in the file, which some viewers do not draw.
_SOLID, _DASHED, _LONG = "solid", (0, (5, 1.6)), (0, (9, 2))
_DOTTED, _MIXED = (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4))
#: Of the methods that have a colour of their own, in their order.
_DASHES = (_SOLID, _DASHED, _DOTTED, _LONG, _MIXED)
#: For other methods and for variants, in turn.
_OTHERS = [
    _Look(colour, dashes) for dashes in (_MIXED, _SOLID, _DASHED) for colour in ("#000000", "#56B4E9", "#8c8c8c")
]


def svg(chart: Chart) -> str:
    """``chart`` as an SVG file's text; each line has the id `line_id` and its vertices are the series' places."""
    with matplotlib.style.context(["default", _STYLE | {"svg.hashsalt": chart.name}]):
        figure = _stacked(chart) if chart.by_depth else _side_by_side(chart)
        file = io.StringIO()
        # Not savefig, which draws twice: once for the layout, and that again while it draws.
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None, "Title": chart.title})
    return file.getvalue()


def line_id(panel: Panel, series: Series) -> str:
    """The XML id of a line in the file."""
    return re.sub(r"[^\w.-]+", "_", f"{panel.name}--{series.name}")


def _side_by_side(chart: Chart) -> Figure:
    """Methods: two panels a row, one legend for all of them above."""
    columns = min(2, len(chart.panels))
    rows = -(-len(chart.panels) // columns)
    labels = {one.name: fill(one.label, _LONGEST) for panel in chart.panels for one in panel.series}
    looks = _shades(list(labels)) if chart.shaded else _looks(labels)
    entries = 4 if max(map(len, labels.values())) <= 24 else 1
    legend = 0.2 * sum(label.count("\n") + 1 for label in list(labels.values())[::entries])
    figure, head = _figure(chart, rows * PANEL_HEIGHT, legend)
    handles = {}
    for place, panel in enumerate(chart.panels):
        axes = _axes(figure, chart, panel, rows, columns, place)
        if chart.counts:  # all panels count the same things, whichever of them they have
            axes.set_xlim(0.7, 0.3 + max(one.x[-1] for other in chart.panels for one in other.series))
        for series in panel.series:
            look = looks[series.name]
            handles[series.name] = _line(axes, panel, series, look.colour, look.dashes, chart.counts or chart.marked)
            if series.seeds > 1:
                axes.fill_between(series.x, series.low, series.high, color=look.colour, alpha=0.15, linewidth=0)
    shown, top = [handles[name] for name in labels], 1 - head / figure.get_figheight()
    figure.legend(shown, list(labels.values()), loc="upper left", bbox_to_anchor=(0, top), ncols=entries)
    return figure


def _stacked(chart: Chart) -> Figure:
    """Feedback points: one row below the other, each with its points beside it, the deepest first and darkest."""
    rows: dict[str, list[Panel]] = {}
    for panel in chart.panels:
        rows.setdefault(panel.row, []).append(panel)
    columns = max(map(len, rows.values()))
    most = max(len(panel.series) for panel in chart.panels)
    figure, _ = _figure(chart, len(rows) * max(PANEL_HEIGHT, 0.8 + 0.18 * most))  # as high as the longest legend
    shared = None
    for row, panels in enumerate(rows.values()):
        points = list(dict.fromkeys(series.name for panel in panels for series in panel.series))
        lines: dict[str, Line2D] = {}
        for column, panel in enumerate(panels):
            axes = _axes(figure, chart, panel, len(rows), columns, row * columns + column, shared=shared)
            shared = shared or axes
            axes.axhline(0, color=_GREY, linewidth=0.8)
            if column:
                axes.set_ylabel("")  # that of its neighbour
            lines |= _points_of(axes, panel, points)
        labels = [next(one.label for panel in panels for one in panel.series if one.name == name) for name in points]
        beside: dict[str, Any] = {
            "loc": "upper left",
            "bbox_to_anchor": (1.01, 1.09),
            "title": "deepest first",
            "alignment": "left",
        }
        axes.legend([lines[name] for name in points], labels, **beside)
    return figure


def _points_of(axes: Axes, panel: Panel, points: Sequence[str]) -> dict[str, Line2D]:
    """Draw a panel's lines, each in the shade of its place among the row's ``points``; returns them by point."""
    lines = {}
    for series in panel.series:
        shade = 0.88 * points.index(series.name) / max(len(points) - 1, 1)  # the map's end is too pale on white
        colour = matplotlib.colormaps["viridis"](shade)
        lines[series.name] = _line(axes, panel, series, colour, _SOLID)
        if (series.low < series.high).any():
            axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.15, linewidth=0)
    return lines


def _figure(chart: Chart, height: float, legend: float = 0.0) -> tuple[Figure, float]:
    """An empty figure but for title and subtitle, and how many inches these take.

    Below them are ``legend`` inches for a legend, then ``height`` inches for the panels.
    """
    subtitle = fill(chart.subtitle, _LONGEST)
    head = 0.5 + 0.16 * subtitle.count("\n")
    total = height + head + legend + 0.1
    figure = Figure(figsize=(WIDTH, total), layout="constrained")
    cast(ConstrainedLayoutEngine, figure.get_layout_engine()).set(rect=(0, 0, 1, height / total))
    figure.text(0.012, 1 - 0.1 / total, chart.title, va="top", weight="bold", size=11)
    figure.text(0.012, 1 - 0.32 / total, subtitle, va="top", color=_GREY)
    return figure, head


def _axes(
    figure: Figure, chart: Chart, panel: Panel, rows: int, columns: int, place: int, shared: Axes | None = None
) -> Axes:
    axes = figure.add_subplot(rows, columns, place + 1, sharex=shared, sharey=shared)
    axes.set_title(panel.title, loc="left", size=9)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(panel.label)
    if chart.logarithmic:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=chart.counts))
    axes.xaxis.set_major_formatter(_PLAIN)
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(_PLAIN)
        axes.yaxis.set_minor_formatter(NullFormatter())
    return axes


def _line(axes: Axes, panel: Panel, series: Series, colour: object, dashes: Dashes, marked: bool = False) -> Line2D:
    marker = "o" if marked or len(series.x) == 1 else ""  # a line of one vertex is invisible
    (line,) = axes.plot(series.x, series.mean, color=colour, linestyle=dashes, marker=marker, markersize=4)
    line.set_gid(line_id(panel, series))
    return line


def _looks(names: Iterable[str]) -> dict[str, _Look]:
    """The look of each method: its own, the same in every chart, or else the next of `_OTHERS`."""
    names = list(names)
    known = {name: look for name in names if (look := _look_of(name)) is not None}
    others = [name for name in names if name not in known]
    turns = {name: _OTHERS[number % len(_OTHERS)] for number, name in enumerate(others)}
    return {name: known.get(name) or turns[name] for name in names}


def _shades(names: Sequence[str]) -> dict[str, _Look]:
    """Steps of one quantity: from dark to pale, in two dash patterns in turn."""
    shades = [matplotlib.colormaps["viridis"](0.88 * place / max(len(names) - 1, 1)) for place in range(len(names))]
    dashes = (_SOLID, _DASHED)
    return {
        name: _Look(matplotlib.colors.to_hex(shade), dashes[place % 2])
        for place, (name, shade) in enumerate(zip(names, shades, strict=True))
    }


def _look_of(name: str) -> _Look | None:
    """The colour that a method registered with; placements of it differ in their dashes."""
    coloured = [entry.name for entry in known_methods().values() if entry.colour]
    entry = entry_behind(name)
    if not entry.colour:
        return None
    place = coloured.index(entry.name)
    return _Look(entry.colour, _DASHES[place % len(_DASHES)] if name == entry.name else _placed(name))


def _placed(name: str) -> Dashes:
    return _LONG if name.endswith("_macro") else _MIXED


def colours(names: Iterable[str]) -> dict[str, str]:
    """The colour of each method, for pictures that are drawn elsewhere."""
    return {name: look.colour for name, look in _looks(names).items()}
