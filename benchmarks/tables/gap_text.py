"""The headline table's rows as text for a reader and as numbers for a program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from benchmarks.records.cells import NAN, ResultCell
from benchmarks.statistics import MOST, Comparison, Estimate, scale_of, seeds_for_sign, seeds_for_width
from benchmarks.statistics.bootstrap import MANY
from benchmarks.tables.build import NONE, exact
from benchmarks.tables.specs import network, title

LABELS = ("dataset", "architecture", "method")
_LEVELS = ("bp", "method", "shallow")
_PARTS = ("mean", "std", "low", "high", "n")
LEGEND = (
    "gap closed: (method − shallow) / (bp − shallow) in %, over the seeds in common; perplexities are compared in nats",
    "[ ]: 95% bootstrap interval, seeds resampled with all their runs; (2/3): two of three tasks have this number",
    "n effect: seeds until the interval of method − bp is ± the smallest effect that matters; "
    "n sign: until it excludes 0 (power .8)",
)


class Row(NamedTuple):
    """A comparison, the gap that the paper's numbers close (NaN where they do not say) with its notes, and our cells.

    ``sources`` are the cells behind bp, the method and shallow.
    """

    comparison: Comparison
    paper: float = NAN
    paper_notes: tuple[str, ...] = ()
    sources: tuple[tuple[ResultCell, ...], ...] = ((), (), ())


def place_of(one: Comparison) -> str:
    """How a note names the row of a task or of a mean."""
    return (
        network(one.domain, one.architecture)
        + (f" on {title(one.dataset)}" if one.dataset else "")
        + f" ({one.method})"
    )


def coverage(comparisons: Iterable[Comparison]) -> list[str]:
    """A remark where intervals rest on so few seeds that they cannot cover what they say."""
    found = [estimate for one in comparisons for estimate in (one.gap, one.difference) if estimate]
    few = min((size for estimate in found for size in estimate.sizes if size > 1), default=MANY)
    if few >= MANY:
        return []
    most = math.floor(100 * (1 - 2.0 ** (1 - few)))
    return [f"intervals of fewer than {MANY} seeds cover less than 95% (of {few} on one task: {most}% at most)"]


def text_header(papers: bool) -> list[str]:
    """Headings of `text_row`."""
    paper = ["paper"] if papers else []
    return [*LABELS, "bp", "this method", "shallow", "gap closed", *paper, "method − bp", "seeds", "n effect", "n sign"]


def text_row(row: Row, papers: bool) -> list[str]:
    """One row for a reader."""
    one = row.comparison
    scale = scale_of(one.metric) if one.metric else None
    levels = [
        scale.metric.format(level.value) if scale and level else NONE for level in (one.bp, one.score, one.shallow)
    ]
    return [
        title(one.dataset) if one.dataset else f"mean of {one.tasks}",
        network(one.domain, one.architecture),
        one.method,
        *levels,
        _estimate(one.gap, one.tasks, _percent),
        *([_percent(row.paper)] if papers else []),
        _estimate(one.difference, one.tasks, scale.difference) if scale else NONE,
        seeds(one.difference or one.gap),  # where metrics differ there is no difference
        *map(_needed_text, _needed(one)),
    ]


def source_row(row: Row, papers: bool) -> list[tuple[ResultCell, ...]]:
    """The cells behind each place of `text_row`: a gap rests on three, a difference on two."""
    bp, method, shallow = row.sources
    names, paper = [()] * len(LABELS), [()] * papers
    return [*names, bp, method, shallow, bp + method + shallow, *paper, *[bp + method] * 4]


def _percent(fraction: float) -> str:
    return NONE if math.isnan(fraction) else f"{100 * fraction:.1f}".replace("-", "−")


def _estimate(found: Estimate | None, tasks: int, text: Callable[[float], str]) -> str:
    if found is None:
        return NONE
    interval = f" [{text(found.interval.low)}, {text(found.interval.high)}]" if found.interval else ""
    return text(found.value) + interval + (f" ({found.tasks}/{tasks})" if found.tasks < tasks else "")


def seeds(found: Estimate | None) -> str:
    """Seeds behind a number: of the task with fewest to that with most."""
    if found is None:
        return "0"
    low, high = min(found.sizes), max(found.sizes)
    return str(low) if low == high else f"{low}–{high}"


def _needed(one: Comparison) -> tuple[float, float]:
    found = one.difference
    if found is None:
        return NAN, NAN
    return seeds_for_width(found.std, one.effect, found.tasks), seeds_for_sign(found.std, found.value, found.tasks)


def _needed_text(seeds: float) -> str:
    if math.isnan(seeds):
        return NONE
    return f">{MOST}" if math.isinf(seeds) else str(seeds)


def numbers_header(papers: bool) -> list[str]:
    """Headings of `number_row`. Gaps are fractions; a perplexity's difference is in nats."""
    names = [*_LEVELS, "gap", "difference"]
    estimates = [f"{name} {part}" for name in names for part in _PARTS]
    return [*LABELS, "domain", "metric", "tasks", *estimates, "seeds effect", "seeds sign", *(["paper gap"] * papers)]


def number_row(row: Row, papers: bool) -> list[str]:
    """One row in full precision."""
    one = row.comparison
    estimates = (one.bp, one.score, one.shallow, one.gap, one.difference)
    return [
        *(one.dataset, one.architecture, one.method, one.domain, one.metric, str(one.tasks)),
        *(text for found in estimates for text in _exact(found)),
        *map(exact, _needed(one)),
        *([exact(row.paper)] if papers else []),
    ]


def _exact(found: Estimate | None) -> list[str]:
    """Mean, std, interval and the number of seeds (of the task that has fewest)."""
    if found is None:
        return ["", "", "", "", "0"]
    low, high = found.interval or (NAN, NAN)
    return [exact(found.value), exact(found.std), exact(low), exact(high), str(min(found.sizes))]
