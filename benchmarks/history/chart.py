"""The trend as a chart: a panel for each architecture, a line for each method, drawn like the learning curves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.curves.chart import Chart, Panel, Series
from benchmarks.history.baseline_snapshot import BaselineSnapshot
from benchmarks.history.trend import Trend, trends

#: Snapshots of a chart, the newest: each is a vertex and a mark of every line.
MOST_SNAPSHOTS = 300


def chart_of(profile: str, snapshots: Sequence[BaselineSnapshot]) -> Chart:
    """``history/<profile>``; a method's line breaks where tasks, settings or data changed."""
    every, snapshots = len(snapshots), snapshots[-MOST_SNAPSHOTS:]
    found, first, newest = trends(snapshots), snapshots[0], snapshots[-1]
    subtitle = f"1: {first.label}" + (f" … {len(snapshots)}: {newest.label}" if len(snapshots) > 1 else "")
    subtitle += f" (the newest of {every:,})" * (every > len(snapshots))
    panels = [_panel(list(lines)) for _, lines in itertools.groupby(found, key=lambda trend: trend.line[:2])]
    return Chart(
        name=f"history/{profile}",
        title=f"Snapshots of the {profile} baseline",
        subtitle=f"{subtitle} · means of the primary metric over tasks and seeds · lines break where settings changed",
        x_label="snapshot",
        panels=(*panels, *_speed_panel(snapshots)),
        counts=True,
    )


def _panel(found: Sequence[Trend]) -> Panel:
    architecture, metric = found[0].line.architecture, found[0].metric
    unit = f" ({metric.unit})" if metric.unit else ""
    series = tuple(_series(trend) for trend in found)
    return Panel(architecture, architecture, metric.title + unit, series)


def _series(trend: Trend) -> Series:
    """The means over the snapshots' numbers, from 1; NaN, where a line ends, before each restart."""
    places: list[float] = []
    means: list[float] = []
    for number, level in enumerate(trend.levels):
        if level is None:
            continue
        if trend.restarted(number):
            places.append(number + 0.5)
            means.append(np.nan)
        places.append(number + 1)
        means.append(level.mean)
    return _line(trend.line.method, places, means)


def _speed_panel(snapshots: Sequence[BaselineSnapshot]) -> Iterator[Panel]:
    methods = snapshots[-1].speed
    series = []
    for method in methods:
        known = [(number, one.speed[method]) for number, one in enumerate(snapshots, start=1) if method in one.speed]
        series.append(_line(method, *zip(*known, strict=True)))
    if series:
        yield Panel("speed", "training time, all tasks", "multiple of backprop's", tuple(series))


def _line(method: str, places: Sequence[float], values: Sequence[float]) -> Series:
    x, y = np.array(places, dtype=float), np.array(values, dtype=float)
    return Series(method, method, x, y, y, y, seeds=1)
