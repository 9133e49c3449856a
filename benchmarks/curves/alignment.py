"""Alignment over training: the mean cosine at each feedback point, deepest (nearest the input) first.

arXiv:2006.12878, appendix A, reports the deepest point at the end of training; here is every point on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import metrics
from benchmarks.curves.chart import Axis, Chart, Panel, over_seeds, vertices_per_line
from benchmarks.curves.runs import Line, TaskRuns
from benchmarks.histories import ALIGNMENT


def alignment_chart(runs: TaskRuns, axis: Axis) -> Chart | None:
    """A panel per method and network, a line per feedback point; None where no alignment was measured."""
    several = sum(bool(_points(line)) for line in runs.lines) > 1
    most = vertices_per_line(sum(len(_points(line)) for line in runs.lines))
    panels = [panel for line in runs.lines for panel in _panels(line, runs.usual, axis, several, most)]
    if not panels:
        return None
    name, title = f"{runs.name}_alignment", f"{runs.task}: alignment with backpropagation"
    return Chart(name, title, runs.subtitle("mean"), axis.label, tuple(panels), by_depth=True)


def by_network(points: Sequence[str]) -> dict[str, list[str]]:
    """Points grouped by the network they belong to: their first name, where all have one and it differs.

    ``coarse.points.0`` and ``fine.points.0`` are of two networks; ``point_in`` and ``points.0`` of one, "".
    """
    groups: dict[str, list[str]] = {}
    for point in points:
        network, _, rest = point.partition(".")
        groups.setdefault(network if rest else "", []).append(point)
    return groups if len(groups) > 1 and "" not in groups else {"": list(points)}


def _points(line: Line) -> list[str]:
    return list(dict.fromkeys(point for history in line.histories for point in history.points))


def _panels(line: Line, usual: int, axis: Axis, several: bool, most: int) -> list[Panel]:
    """The panels of one method; its name stands above them where other methods have panels as well."""
    panels = []
    cosine = metrics.lookup(ALIGNMENT.rstrip("/")).title
    for network, points in by_network(_points(line)).items():
        series = []
        for point in points:
            column = ALIGNMENT + point
            curves = [(history.column(axis.column), history.column(column)) for history in line.histories]
            series.append(over_seeds(point, point.removeprefix(f"{network}.") if network else point, curves, most))
        shown = tuple(one for one in series if one is not None)
        title = " · ".join([line.label(usual)] * several + [network] * bool(network))
        if shown:
            panels.append(Panel(f"{line.name} {network}".strip(), title, cosine, shown))
    return panels
