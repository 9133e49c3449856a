"""The headline figure: gap closed per architecture and domain, with intervals, beside the paper's.

Its numbers are the rows of `benchmarks.tables.headline`, which are those of the tables `gap_closed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from benchmarks.catalogue.names import title
from benchmarks.curves.draw import colours
from benchmarks.report.forest import Forest, Group, Key, Line, Mark, bounds
from benchmarks.report.provenance import Provenance
from benchmarks.tables.gap_text import gap_text, room_text
from benchmarks.tables.headline import Pick

FILE = "headline.svg"
_BLACK = "#000000"


def headline_figure(picks: Sequence[Pick], provenance: Provenance) -> Forest | None:
    """The figure; None without rows."""
    if not picks:
        return None
    several = len({pick.row.comparison.method for pick in picks}) > 1
    looks = colours(dict.fromkeys(pick.row.comparison.method for pick in picks))
    low, high = bounds([100 * value for pick in picks for value in _values(pick)], 0, 100, -60, 118)
    groups = [
        Group(title(domain), tuple(_line(pick, looks, provenance, several) for pick in members))
        for domain, members in groupby(picks, key=lambda pick: pick.row.comparison.domain)
    ]
    shown = [pick for pick in picks if pick.row.comparison.gap]
    return Forest(
        title="Gap closed: how far each method gets from shallow training to backprop (%)",
        description=". ".join(f"{_label(pick)}, {pick.data}: {_number(pick)}" for pick in picks),
        groups=tuple(groups),
        low=low - 3,
        high=high + 3,
        ticks=tuple((float(place), _tick(place)) for place in range(-50, 150, 25)),
        label="gap closed in %, mean over seeds with its 95% interval",
        walls=(0.0, 100.0),
        legend=tuple(_legend(shown, looks)),
    )


def _values(pick: Pick) -> Iterator[float]:
    gap = pick.row.comparison.gap
    if gap:
        yield from (gap.value, *(gap.interval or ()))
    yield pick.row.paper


def _tick(place: int) -> str:
    return {0: "shallow 0", 100: "bp 100"}.get(place, str(place).replace("-", "−"))


def _label(pick: Pick) -> str:
    return f"{pick.name}, {pick.row.comparison.method}"


def _number(pick: Pick) -> str:
    """The gap closed; where a task has none, bp − shallow, which says why; of a mean, how many tasks have one."""
    one = pick.row.comparison
    if one.gap is not None or not one.remarks:
        return gap_text(pick.row)
    return (room_text(one) if one.tasks == 1 else "") or one.remarks[0].removeprefix("no gap: ")


def _line(pick: Pick, looks: dict[str, str], provenance: Provenance, several: bool) -> Line:
    one = pick.row.comparison
    marks = []
    if one.gap:
        low, high = one.gap.interval or (math.nan, math.nan)
        colour = looks[one.method]
        marks.append(Mark(100 * one.gap.value, 100 * low, 100 * high, colour=colour, hollow=not pick.real))
    if not math.isnan(pick.row.paper):  # last and hollow: both are seen where they coincide
        marks.append(Mark(100 * pick.row.paper, colour=_BLACK, shape="diamond", hollow=True))
    where = ", ".join([*([] if pick.real else [pick.source]), pick.profile, *(["searched"] if pick.tuned else [])])
    anchor = provenance.anchor(pick.row.bp + pick.row.method + pick.row.shallow)
    return Line(
        _label(pick) if several else pick.name, tuple(marks), f"{_number(pick)} · {where}", anchor, strong=pick.mean
    )


def _legend(shown: Sequence[Pick], looks: dict[str, str]) -> Iterator[Key]:
    """One entry per mark that can be told apart: placements of a method share its colour, the labels name them."""
    for (colour, real), methods in _methods_by_mark(shown, looks).items():
        data = "real data" if real else "stand-in data"
        yield Key(Mark(0, colour=colour, hollow=not real), f"{', '.join(methods)} ({data})")
    if any(not math.isnan(pick.row.paper) for pick in shown):
        yield Key(Mark(0, colour=_BLACK, shape="diamond", hollow=True), "paper")


def _methods_by_mark(shown: Sequence[Pick], looks: dict[str, str]) -> dict[tuple[str, bool], list[str]]:
    found: dict[tuple[str, bool], list[str]] = {}
    for method, colour in looks.items():
        for real in (True, False):
            if any(pick.real is real and pick.row.comparison.method == method for pick in shown):
                found.setdefault((colour, real), []).append(method)
    return found
