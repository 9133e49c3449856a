"""Alignment over depth: at every feedback point, at the end of training (arXiv:2006.12878, appendix A, all points).

A line is a feedback point: the mean cosine over samples, the middle half and the 5% to 95% quantiles of the samples,
each averaged over the seeds. Where records hold the cosine of the weights' gradients below the point it stands below,
hollow, with the same quantiles of its rows.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.catalogue.names import network, title
from benchmarks.curves.draw import colours
from benchmarks.records.cells import NAN, ResultCell
from benchmarks.records.record import QUANTILES
from benchmarks.report.forest import Forest, Group, Key, Line, Mark, bounds
from benchmarks.report.gather import cell_order
from benchmarks.report.provenance import Provenance
from benchmarks.tables.data_source import data_title

_GREY = "#444444"


def depth_figures(
    cells: Sequence[ResultCell], provenance: Provenance, orders: Mapping[str, Sequence[str]]
) -> Iterator[Forest]:
    """A figure per profile, data source and domain with alignment.

    ``orders`` are the points of a task from the input upwards, for records that do not say it themselves.
    """
    chosen = sorted((cell for cell in cells if cell.primary and not cell.key.variant), key=cell_order)
    for (profile, source, domain), members in groupby(chosen, key=_where):
        groups = [group for cell in members if (group := _group(cell, provenance, orders))]
        if groups:
            about = f"profile {profile} · {data_title(source)}"
            yield _figure(f"{title(domain)}: alignment over depth", about, groups)


def _figure(heading: str, about: str, groups: Sequence[Group]) -> Forest:
    lines = [line for group in groups for line in group.lines]
    ends = [end for line in lines for mark in line.marks for end in (mark.value, mark.low, mark.high)]
    low, high = bounds(ends, 0, 1, -1, 1)
    weights = [Key(Mark(0, colour=_GREY, shape="square", hollow=True), "weight gradients")]
    words = [f"{group.title}: " + ", ".join(f"{line.label} {line.text}" for line in group.lines) for group in groups]
    return Forest(
        title=heading,
        description=". ".join(words),
        groups=tuple(groups),
        low=low - 0.03,
        high=high + 0.03,
        ticks=tuple((place / 4, f"{place / 4:g}".replace("-", "−")) for place in range(-4, 5)),
        label=f"cosine with backprop's gradient · {about}",
        walls=(0.0, 1.0),
        legend=(
            Key(Mark(0, colour=_GREY), "mean over samples; thick: middle half; thin: 5% to 95%"),
            *(weights if any(len(line.marks) > 1 for line in lines) else []),
        ),
    )


def _where(cell: ResultCell) -> tuple[str, str, str]:
    return cell.key.profile, cell.key.data_source, cell.domain


def _group(cell: ResultCell, provenance: Provenance, orders: Mapping[str, Sequence[str]]) -> Group | None:
    runs = [record for record in provenance.runs(cell) if record.alignment.get("points")]
    if not runs:
        return None
    colour = colours([cell.key.method])[cell.key.method]
    anchor = provenance.anchor([cell])
    lines = []
    known = runs[0].alignment.get("order") or orders.get(cell.key.task, ())
    for name in _points(runs[0].alignment["points"], runs[0].metrics, known):
        found = [record.alignment["points"][name] for record in runs if name in record.alignment["points"]]
        weights = [one["weights"] for one in found if isinstance(one.get("weights"), dict)]
        mark = _mark(found, "mean", colour)
        marks = [mark, _mark(weights, "cosine", colour, shape="square", hollow=True, shift=6)] if weights else [mark]
        text = f"{mark.value:.2f} ± {statistics.fmean(one['std'] for one in found):.2f}".replace("-", "−")
        if weights:
            text += f" · weights {marks[1].value:.2f}".replace("-", "−")
        lines.append(Line(name, tuple(marks), text, anchor))
    seeds = f"{len(runs)} seed{'s' * (len(runs) != 1)}"
    return Group(
        f"{network(cell.domain, cell.architecture)} on {title(cell.dataset)} · {cell.key.method} · {seeds}",
        tuple(lines),
    )


def _mark(found: Sequence[Mapping[str, Any]], value: str, colour: str, **look: Any) -> Mark:
    quantiles = [one["quantiles"] for one in found if len(one.get("quantiles") or ()) == len(QUANTILES)]
    ends = (
        [statistics.fmean(column) for column in zip(*quantiles, strict=True)] if quantiles else [NAN] * len(QUANTILES)
    )
    low, inner_low, _, inner_high, high = ends
    return Mark(statistics.fmean(one[value] for one in found), low, high, inner_low, inner_high, colour, **look)


def _points(points: Mapping[str, Any], scores: Mapping[str, float], known: Sequence[str]) -> list[str]:
    """Points from the input upwards if ``known`` has them all; else the deepest first, where the record tells it."""
    if set(points) <= set(known):
        return [name for name in known if name in points]
    deepest = scores.get("alignment_cosine_mean", NAN)
    is_deepest = {name: math.isclose(points[name]["mean"], deepest, rel_tol=1e-6) for name in points}
    return sorted(points, key=lambda name: (not is_deepest[name], _natural(name)))


def _natural(name: str) -> list[tuple[int, str]]:
    """``points.10`` comes after ``points.2``."""
    return [(int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
