"""Alignment over training: a line per feedback point, deepest (nearest the input) first, at two levels.

arXiv:2006.12878, appendix A, reports the deepest point at the end of training; here is every point on the way: the
mean cosine over samples (activations), and the cosine of the gradient of all weights below (weight gradients). The
band says how far the deepest point's samples, or the rows of its weights, spread: from the 5% to the 95% quantile,
each a mean over the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from benchmarks.curves.chart import Axis, Chart, Panel, Series, over_seeds, vertices_per_line
from benchmarks.curves.runs import Line, TaskRuns
from benchmarks.records.run_history import ALIGNMENT, WEIGHT_ALIGNMENT


class Level(NamedTuple):
    """The lines and the band of a panel: beginnings of the history's columns."""

    line: str
    band: str


LEVELS = {
    "activations": Level(f"{ALIGNMENT}_mean", ALIGNMENT),
    "weight gradients": Level(WEIGHT_ALIGNMENT, WEIGHT_ALIGNMENT),
}
BAND = "band: 5 to 95% of the deepest point's samples or rows"


def alignment_chart(runs: TaskRuns, axis: Axis) -> Chart | None:
    """Panels per method and network, one for each level; None where no alignment was measured."""
    several = sum(bool(_points(line)) for line in runs.lines) > 1
    most = vertices_per_line(len(LEVELS) * sum(len(_points(line)) for line in runs.lines))
    panels = [panel for line in runs.lines for panel in _panels(line, runs.usual, axis, several, most)]
    if not panels:
        return None
    bands = any((one.low < one.high).any() for panel in panels for one in panel.series)
    subtitle = " · ".join([runs.subtitle("mean"), *[BAND] * bands])
    name, title = f"{runs.name}_alignment", f"{runs.task}: alignment with backpropagation"
    return Chart(name, title, subtitle, axis.label, tuple(panels), by_depth=True)


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
    for network, points in by_network(_points(line)).items():
        levels = {name: _series(line, network, points, level, axis, most) for name, level in LEVELS.items()}
        shown = {name: series for name, series in levels.items() if series}
        names = [line.label(usual)] * several + [network] * bool(network)
        for level, series in shown.items():
            title = " · ".join([*names, *[level] * (len(shown) > 1)])
            name = " ".join(filter(None, [line.name, network, level if level != "activations" else ""]))
            panels.append(Panel(name, title, "cosine", series, row=f"{line.name} {network}"))
    return panels


def _series(line: Line, network: str, points: Sequence[str], level: Level, axis: Axis, most: int) -> tuple[Series, ...]:
    """One level's line of each point that has it, the first one with its band."""
    found: list[Series] = []
    for point in points:
        label = point.removeprefix(f"{network}.") if network else point
        mean = _over_seeds(line, f"{level.line}/{point}", axis, point, label, most)
        if mean is not None:
            low, high = (
                None if found else _over_seeds(line, f"{level.band}_{quantile}/{point}", axis, point, label, most)
                for quantile in ("q05", "q95")
            )
            band = (mean.mean, mean.mean)
            if low is not None and high is not None and len(low.x) == len(high.x) == len(mean.x):
                band = (low.mean, high.mean)
            found.append(replace(mean, low=band[0], high=band[1]))
    return tuple(found)


def _over_seeds(line: Line, column: str, axis: Axis, point: str, label: str, most: int) -> Series | None:
    curves = [(history.column(axis.column), history.column(column)) for history in line.histories]
    return over_seeds(point, label, curves, most)
