"""Forest plots: a line per thing that was measured, its value with intervals on one axis, and the number in words.

Drawn here as SVG and not by matplotlib: text keeps its place and size, numbers can be links, and a plot has 10 kB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.records.cells import NAN
from benchmarks.report.templates import environment

WIDTH, LEFT, RIGHT = 820, 185, 500  # pixels: the whole, and where the axis begins and ends
LINE, GAP, TITLE, AXIS = 20, 9, 22, 40  # heights
_CHARACTER = 6.3  # average width at the size of the text, for the title's and the text's room


@dataclass(frozen=True)
class Mark:
    """A value on the axis with up to two intervals; NaN for what there is not."""

    value: float
    low: float = NAN
    high: float = NAN
    inner_low: float = NAN
    inner_high: float = NAN
    colour: str = "#000000"
    shape: str = "circle"  # circle | diamond | square
    hollow: bool = False
    shift: int = 0  # pixels down, where a line has several marks


@dataclass(frozen=True)
class Line:
    """One line: what it is about, its marks, the numbers as text, and the anchor of their provenance."""

    label: str
    marks: tuple[Mark, ...]
    text: str
    anchor: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Group:
    """Lines under a title ("" for none)."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Key:
    """An entry of the legend."""

    mark: Mark
    text: str


@dataclass(frozen=True)
class Forest:
    """A whole plot. ``ticks`` are places on the axis with their labels; those in ``walls`` get a stronger line."""

    title: str
    description: str
    groups: tuple[Group, ...]
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    label: str
    walls: tuple[float, ...] = ()
    legend: tuple[Key, ...] = ()


class _Placed(NamedTuple):
    kind: str  # title | line
    y: float
    what: Group | Line


def svg(forest: Forest, linked: bool) -> str:
    """``forest`` as an SVG element; ``linked`` makes the numbers links into the page that holds it."""
    placed = list(_placed(forest.groups, top=30 + 18 * bool(forest.legend)))
    bottom = placed[-1].y + LINE / 2 + 4 if placed else 60.0
    template = environment().get_template("forest.svg")
    return template.render(
        forest=forest,
        placed=placed,
        linked=linked,
        x=lambda value: _x(forest, value),
        inside=lambda value: forest.low <= value <= forest.high,
        known=math.isfinite,
        keys=_keys(forest.legend),
        bottom=bottom,
        height=bottom + AXIS,
        width=WIDTH,
        left=LEFT,
        right=RIGHT,
    )


def bounds(values: Sequence[float], low: float, high: float, least: float, most: float) -> tuple[float, float]:
    """An axis from ``low`` to ``high`` at least, that holds ``values`` as far as ``least`` and ``most`` allow."""
    known = [value for value in values if math.isfinite(value)]
    return max(least, min([low, *known])), min(most, max([high, *known]))


def _placed(groups: Sequence[Group], top: float) -> Iterator[_Placed]:
    y = top
    for group in groups:
        if group.title:
            yield _Placed("title", y + TITLE / 2, group)
            y += TITLE
        for line in group.lines:
            yield _Placed("line", y + LINE / 2, line)
            y += LINE
        y += GAP


def _x(forest: Forest, value: float) -> float:
    """Where a value lies, in pixels; what is beyond the axis lies at its end."""
    share = (min(max(value, forest.low), forest.high) - forest.low) / (forest.high - forest.low)
    return round(LEFT + share * (RIGHT - LEFT), 1)


def _keys(legend: Sequence[Key]) -> list[tuple[float, Key]]:
    """The legend's entries, each with its place from the left."""
    places, x = [], 10.0
    for key in legend:
        places.append((round(x, 1), key))
        x += 24 + _CHARACTER * len(key.text)
    return places
