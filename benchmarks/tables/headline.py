"""The headline: how much of the gap between shallow and bp each architecture's methods close, on the best evidence.

Its rows are those of the tables `gap_closed`: of an architecture the mean over its datasets (or its only dataset),
of a domain the mean over its architectures. Real data count before stand-ins, and of the profiles the one that
trains most. Where that row shows no gap, the best row that does follows. Each row says what its data are. Tasks
with the settings of a search are left out: they are not what is shipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.records.cells import ResultCell
from benchmarks.statistics import Comparison
from benchmarks.tables.gap import gap_rows
from benchmarks.tables.gap_text import (
    LEGEND,
    Row,
    coverage,
    number_row,
    numbers_header,
    seeds,
    source_row,
    text_header,
    text_row,
)
from benchmarks.tables.reference import paper_place
from benchmarks.tables.specs import is_tuned, method_order, title
from benchmarks.tables.text import Table

NAME = "headline"
#: The profile that trains most comes first; others follow in alphabetical order, and the smallest at the end.
PROFILES = ("paper", "long", "quick")
SMOKE = "smoke"
_SHOWN = ("method", "bp", "this method", "shallow", "gap closed", "paper", "seeds")


class Pick(NamedTuple):
    """One row of the headline and where it comes from. ``mean`` marks a domain's."""

    profile: str
    source: str
    row: Row
    mean: bool

    @property
    def real(self) -> bool:
        """Whether it comes from real data."""
        return self.source == "real"

    @property
    def name(self) -> str:
        """What it is about, for a reader."""
        return (
            f"all {title(self.row.comparison.architecture)}" if self.mean else title(self.row.comparison.architecture)
        )

    @property
    def data(self) -> str:
        """Data source, profile and datasets, for a reader."""
        one = self.row.comparison
        count = f"{one.tasks} {'tasks' if self.mean else 'datasets'}" if one.tasks > 1 else title(one.dataset)
        source = {"real": "real"}.get(self.source, self.source.upper())
        return f"{source} · {self.profile} · {count}"

    @property
    def reason(self) -> str:
        """Why there is no gap; "" if there is one."""
        one = self.row.comparison
        return one.remarks[0] if one.gap is None and one.remarks else ""


def profile_order(profile: str) -> tuple[int, str]:
    """Sort key: `PROFILES`, others by name, smoke last."""
    known = PROFILES.index(profile) if profile in PROFILES else len(PROFILES)
    return (known + (profile == SMOKE), profile)


def best_first(profile: str, source: str) -> tuple[object, ...]:
    """Sort key of evidence: real data before stand-ins, then the profile that trains most."""
    return (source != "real", source, profile_order(profile))


def profiles_shown(cells: Iterable[ResultCell]) -> list[str]:
    """The profiles worth reading, the best first: smoke only where there is nothing else."""
    every = sorted({cell.key.profile for cell in cells}, key=profile_order)
    return [profile for profile in every if profile != SMOKE] or every


def headline_rows(cells: Sequence[ResultCell]) -> list[Pick]:
    """The headline's rows: domains and architectures in the paper's order, a domain's mean after its architectures."""
    shipped = [cell for cell in cells if not is_tuned(cell.domain)]
    picks = [
        pick
        for profile in profiles_shown(shipped)
        for source in sorted({cell.key.data_source for cell in shipped if cell.key.profile == profile})
        for pick in _picks(shipped, profile, source)
    ]
    groups: dict[tuple[object, ...], list[Pick]] = {}
    for pick in sorted(picks, key=lambda pick: (not pick.real, profile_order(pick.profile))):
        groups.setdefault(_place(pick), []).append(pick)
    return [pick for place in sorted(groups) for pick in _best(groups[place])]


def headline_table(cells: Sequence[ResultCell]) -> Table | None:
    """The headline as a table; None where no method can be compared."""
    picks = headline_rows(cells)
    if not picks:
        return None
    header = text_header(papers=True)
    shown = [header.index(name) for name in _SHOWN]
    sources = [source_row(pick.row, papers=True) for pick in picks]
    notes = [f"{pick.name} ({pick.row.comparison.method}; {pick.data}): {pick.reason}" for pick in picks if pick.reason]
    return Table(
        name=NAME,
        title="Headline: gap closed per architecture and domain",
        subtitle="the best evidence there is: real data before stand-ins, the profile that trains most first",
        header=["architecture", "data", *_SHOWN],
        rows=[_text_row(pick) for pick in picks],
        numbers_header=["profile", "data_source", *numbers_header(papers=True)],
        numbers=[[pick.profile, pick.source, *number_row(pick.row, papers=True)] for pick in picks],
        notes=[*LEGEND[:2], *coverage(pick.row.comparison for pick in picks), *notes],
        labels=3,
        sources=[[(), (), *(source[place] for place in shown)] for source in sources],
    )


def _text_row(pick: Pick) -> list[str]:
    """One row for a reader; the seeds are those of the gap, which may be fewer than those of method − bp."""
    one = pick.row.comparison
    texts = dict(zip(text_header(papers=True), text_row(pick.row, papers=True), strict=True))
    texts["seeds"] = seeds(one.gap or one.difference)
    return [pick.name, pick.data, *(texts[name] for name in _SHOWN)]


def _picks(cells: Sequence[ResultCell], profile: str, source: str) -> list[Pick]:
    """Of every architecture and method its mean row, or its only row; then the means of domains."""
    found: dict[tuple[str, str, str], Pick] = {}
    for row in gap_rows(cells, profile, source):
        one = row.comparison
        # Means come last, so that an architecture's replaces the rows of its datasets.
        found[one.domain, one.architecture, one.method] = Pick(profile, source, row, _is_mean_of_domain(one))
    return list(found.values())


def _is_mean_of_domain(one: Comparison) -> bool:
    return one.architecture == one.domain and one.tasks > 1


def _place(pick: Pick) -> tuple[object, ...]:
    one = pick.row.comparison
    return (
        paper_place("domain", one.domain),
        pick.mean,
        paper_place("architecture", one.architecture),
        method_order(one.method),
    )


def _best(picks: Sequence[Pick]) -> list[Pick]:
    """The first pick, and the first one with a gap where that has none."""
    first, *others = picks
    if first.row.comparison.gap is not None:
        return [first]
    return [first, *[pick for pick in others if pick.row.comparison.gap is not None][:1]]
