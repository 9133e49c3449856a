"""Charts before they are drawn: what each panel and line shows, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.records.cells import LARGEST
from benchmarks.records.run_history import spread

#: Vertices of all lines and bands of a chart together: what keeps a file below 200 kB.
MOST_VERTICES = 6000
#: Vertices of one line: more than this is finer than a screen shows.
MOST_OF_A_LINE = 150


class Axis(NamedTuple):
    """The horizontal axis of a chart: the history's column, and its label with unit."""

    column: str
    label: str


AXES = {"step": Axis("step", "steps"), "seconds": Axis("train_seconds", "training time (s)")}


@dataclass(frozen=True, eq=False)
class Series:
    """One line, each (points,): the mean over the seeds over ``x``, and between what it varies.

    ``low`` and ``high`` are the least and the largest seed; of a feedback point quantiles over samples, or the mean
    itself where there are none.
    """

    name: str  # a method (and variant), or a feedback point
    label: str  # in the legend: the name, and a remark where runs are missing
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int
    shortened: bool = False  # some seed went on after ``x`` ends, where not all seeds have a value


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    name: str  # a metric, or whose alignment it is; part of the ids in the file
    title: str
    label: str  # of the vertical axis, with unit
    series: tuple[Series, ...]
    logarithmic: bool = False
    row: str = ""  # of a chart by depth: panels of one row stand side by side and share the points' legend


@dataclass(frozen=True)
class Chart:
    """One figure. ``by_depth``: lines are feedback points, the deepest first; otherwise they are methods."""

    name: str  # "long/nerf_synthetic/lego": the file below the folder of figures, without suffix
    title: str
    subtitle: str
    x_label: str
    panels: tuple[Panel, ...]
    by_depth: bool = False
    counts: bool = False  # the horizontal axis counts: ticks at whole numbers, a mark at each vertex
    marked: bool = False  # a mark at each vertex
    logarithmic: bool = False  # the horizontal axis
    shaded: bool = False  # lines are steps of one quantity, from dark to pale, and no methods


def over_seeds(
    name: str, label: str, curves: Sequence[tuple[np.ndarray, np.ndarray]], most: int = MOST_OF_A_LINE
) -> Series | None:
    """One line from a pair (x, y) per seed; None where no seed has a finite value.

    Seeds that were evaluated at the same places are averaged there. Where the places differ (training time,
    early stopping) each seed is interpolated linearly, over the range that all have: a mean that loses a seed
    on its way would jump.
    """
    known = [(x[keep], y[keep]) for x, y in curves if (keep := np.isfinite(x) & (np.abs(y) < LARGEST)).any()]
    if not known:
        return None
    places = np.unique(np.concatenate([x for x, _ in known]))
    first, last = max(x[0] for x, _ in known), min(x[-1] for x, _ in known)
    places = places[(places >= first) & (places <= last)]
    if not len(places):
        return None
    if len(places) > most:
        places = places[[0, *spread(range(1, len(places) - 1), most - 2), len(places) - 1]]
    shortened = any(x[-1] > last for x, _ in known)
    values = np.stack([np.interp(places, x, y) for x, y in known])
    return Series(name, label, places, values.mean(0), values.min(0), values.max(0), len(known), shortened)


def vertices_per_line(lines: int) -> int:
    """How many places each of ``lines`` lines may have; a band takes two vertices a place."""
    return min(MOST_OF_A_LINE, max(20, MOST_VERTICES // (3 * max(lines, 1))))
