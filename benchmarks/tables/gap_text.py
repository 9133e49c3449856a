"""The headline table's rows as text for a reader and as numbers for a program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from benchmarks.catalogue.names import network, title
from benchmarks.records import metrics
from benchmarks.records.cells import NAN
from benchmarks.statistics import MOST, Comparison, Estimate, scale_of, seeds_for_sign, seeds_for_width
from benchmarks.statistics.bootstrap import MANY
from benchmarks.tables.table import NONE, Behind, Column, Role, labels
from benchmarks.tables.text import exact

_LEVELS = ("bp", "method", "shallow")
_PARTS = ("mean", "std", "low", "high", "n")
LEGEND = (
    "gap closed: (method − shallow) / (bp − shallow) in %, over the seeds in common; perplexities are compared in nats",
    "[ ]: 95% bootstrap interval, seeds resampled with all their runs; (2/3): two of three tasks have this number",
    "n effect: seeds until the interval of method − bp is ± the smallest effect that matters; "
    "n sign: until it excludes 0 (power .8)",
)


@dataclass(frozen=True, eq=False)
class Row:
    """A comparison, the gap that the paper's numbers close (NaN where they do not say) with its notes, and our cells.

    ``bp``, ``method`` and ``shallow`` are the cells behind the three.
    """

    comparison: Comparison
    paper: float = NAN
    paper_notes: tuple[str, ...] = ()
    bp: Behind = ()
    method: Behind = ()
    shallow: Behind = ()

    @cached_property
    def seeds_needed(self) -> tuple[float, float]:
        """Seeds until the difference's interval is as narrow as the smallest effect, and until it excludes 0."""
        one = self.comparison
        if (found := one.difference) is None:
            return NAN, NAN
        return seeds_for_width(found.std, one.effect, found.tasks), seeds_for_sign(found.std, found.value, found.tasks)


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


class Shown(NamedTuple):
    """A column for a reader: the text of a row in it, and the cells behind that."""

    column: Column
    text: Callable[[Row], str]
    behind: Callable[[Row], Behind] = lambda row: ()


def _value(heading: str, text: Callable[[Row], str], behind: Callable[[Row], Behind]) -> Shown:
    return Shown(Column(Role.VALUE, heading), text, behind)


def _both(row: Row) -> Behind:
    return row.bp + row.method


#: All columns that a table of gaps may have, by name.
SHOWN = {
    "dataset": Shown(Column(Role.LABEL, "dataset"), lambda row: _dataset(row.comparison)),
    "architecture": Shown(Column(Role.LABEL, "architecture"), lambda row: _network(row.comparison)),
    "method": Shown(Column(Role.LABEL, "method"), lambda row: row.comparison.method),
    "bp": _value("bp", lambda row: _level(row, row.comparison.bp), lambda row: row.bp),
    "score": _value("score", lambda row: _level(row, row.comparison.score), lambda row: row.method),
    "shallow": _value("shallow", lambda row: _level(row, row.comparison.shallow), lambda row: row.shallow),
    "gap": _value("gap closed", lambda row: gap_text(row), lambda row: row.bp + row.method + row.shallow),
    "paper": Shown(Column(Role.PAPER, "paper"), lambda row: _percent(row.paper)),
    "difference": _value("method − bp", lambda row: _difference(row.comparison), _both),
    # Where metrics differ there is no difference.
    "seeds": _value("seeds", lambda row: seeds(row.comparison.difference or row.comparison.gap), _both),
    "seeds of the gap": _value("seeds", lambda row: seeds(row.comparison.gap or row.comparison.difference), _both),
    "n effect": _value("n effect", lambda row: _needed(row.seeds_needed[0]), _both),
    "n sign": _value("n sign", lambda row: _needed(row.seeds_needed[1]), _both),
}


def gap_text(row: Row) -> str:
    """The gap closed, with its interval."""
    return _estimate(row.comparison.gap, row.comparison.tasks, _percent)


def room_text(one: Comparison) -> str:
    """By how much bp is better or worse than shallow, with its interval; "" where that is not known."""
    return f"bp − shallow: {_estimate(one.room, one.tasks, scale_of(one.metric).difference)}" if one.room else ""


def _dataset(one: Comparison) -> str:
    return title(one.dataset) if one.dataset else f"mean of {one.tasks}"


def _network(one: Comparison) -> str:
    return network(one.domain, one.architecture)


def _level(row: Row, level: Estimate | None) -> str:
    return metrics.lookup(row.comparison.metric).format(level.value) if row.comparison.metric and level else NONE


def _difference(one: Comparison) -> str:
    return _estimate(one.difference, one.tasks, scale_of(one.metric).difference) if one.metric else NONE


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


def _needed(seeds: float) -> str:
    if math.isnan(seeds):
        return NONE
    return f">{MOST}" if math.isinf(seeds) else str(seeds)


def number_columns(papers: bool) -> list[Column]:
    """Columns of `number_row`. Gaps are fractions; a perplexity's difference is in nats."""
    names = (*_LEVELS, "gap", "difference", "room")
    return [
        *labels("dataset", "architecture", "method", "domain", "metric"),
        Column(Role.VALUE, "tasks"),
        *(Column(Role.VALUE, f"{name} {part}", part=part) for name in names for part in _PARTS),
        *(Column(Role.VALUE, "seeds effect"), Column(Role.VALUE, "seeds sign")),
        *([Column(Role.PAPER, "paper gap")] if papers else []),
    ]


def number_row(row: Row, papers: bool) -> list[str]:
    """One row in full precision."""
    one = row.comparison
    estimates = (one.bp, one.score, one.shallow, one.gap, one.difference, one.room)
    return [
        *(one.dataset, one.architecture, one.method, one.domain, one.metric, str(one.tasks)),
        *(text for found in estimates for text in _exact(found)),
        *map(exact, row.seeds_needed),
        *([exact(row.paper)] if papers else []),
    ]


def _exact(found: Estimate | None) -> list[str]:
    """Mean, std, interval and the number of seeds (of the task that has fewest)."""
    if found is None:
        return ["", "", "", "", "0"]
    low, high = found.interval or (NAN, NAN)
    return [exact(found.value), exact(found.std), exact(low), exact(high), str(min(found.sizes))]
