"""The headline: how much of the gap between shallow and bp each architecture's methods close, on the best evidence.

Its rows are those of the tables `gap_closed`: of an architecture the mean over its datasets (or its only dataset),
of a domain the mean over its architectures. Real data count before stand-ins, and of the profiles the one that
trains most. Where that row shows no gap, a note says by how much bp and shallow differ, and the best row on the same
kind of data that has a gap follows: there tasks with the settings of a search count too, which are not what is shipped.
Stand-ins never follow real data: their numbers are in the tables of their own. Each row says what its data are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.catalogue.methods import entry_behind, method_order, shipped_methods
from benchmarks.catalogue.names import is_tuned, shipped_name, title
from benchmarks.catalogue.reference import paper_place
from benchmarks.statistics import Comparison
from benchmarks.tables.data_source import REAL
from benchmarks.tables.gap import Gap, largest_samples
from benchmarks.tables.gap_text import LEGEND, SHOWN, Row, coverage, number_columns, number_row, room_text
from benchmarks.tables.table import Table, TableKind, labels

NAME = "headline"
#: The profile that trains most comes first; others follow in alphabetical order, and the smallest at the end.
PROFILES = ("paper", "long", "quick")
SMOKE = "smoke"
#: Columns of `SHOWN`; the seeds are those of the gap, which may be fewer than those of method − bp.
_SHOWN = ("method", "bp", "score", "shallow", "gap", "paper", "seeds of the gap")


class Pick(NamedTuple):
    """One row of the headline and where it comes from. ``mean`` marks a domain's."""

    profile: str
    source: str
    row: Row
    mean: bool

    @property
    def real(self) -> bool:
        """Whether it comes from real data."""
        return self.source == REAL

    @property
    def tuned(self) -> bool:
        """Whether its settings are those of a search."""
        return is_tuned(self.row.comparison.domain)

    @property
    def name(self) -> str:
        """The architecture or domain, for a reader."""
        name = title(shipped_name(self.row.comparison.architecture))
        return f"all {name}" if self.mean else name

    @property
    def data(self) -> str:
        """Data source, profile and datasets, for a reader."""
        one = self.row.comparison
        count = f"{one.tasks} {'tasks' if self.mean else 'datasets'}" if one.tasks > 1 else title(one.dataset)
        source = self.source if self.real else self.source.upper()
        return " · ".join([source, self.profile, count, *(["searched settings"] if self.tuned else [])])

    @property
    def reason(self) -> str:
        """Why there is no gap, with bp − shallow; "" if there is one."""
        one = self.row.comparison
        if one.gap is not None or not one.remarks:
            return ""
        return f"{one.remarks[0]} ({room_text(one)})" if one.room else one.remarks[0]


def profile_order(profile: str) -> tuple[int, str]:
    """Sort key: `PROFILES`, others by name, smoke last."""
    known = PROFILES.index(profile) if profile in PROFILES else len(PROFILES)
    return (known + (profile == SMOKE), profile)


def best_first(profile: str, source: str) -> tuple[object, ...]:
    """Sort key of evidence: real data before stand-ins, then the profile that trains most."""
    return (source != REAL, source, profile_order(profile))


def profiles_shown(profiles: Iterable[str]) -> list[str]:
    """The profiles worth reading, the best first: smoke only where there is nothing else."""
    every = sorted(set(profiles), key=profile_order)
    return [profile for profile in every if profile != SMOKE] or every


def headline_rows(gaps: Sequence[Gap]) -> list[Pick]:
    """The headline's rows: domains and architectures in the paper's order, a domain's mean after its architectures."""
    profiles = profiles_shown(gap.profile for gap in gaps if gap.shipped)
    picks = [pick for gap in gaps if gap.profile in profiles for pick in _picks(gap) if _is_shown(pick)]
    groups: dict[tuple[object, ...], list[Pick]] = {}
    for pick in sorted(picks, key=lambda pick: (not pick.real, pick.tuned, profile_order(pick.profile))):
        groups.setdefault(_place(pick), []).append(pick)
    return [pick for place in sorted(groups) for pick in _best(groups[place])]


def headline_table(picks: Sequence[Pick]) -> Table | None:
    """The headline's rows as a table; None where no method can be compared."""
    if not picks:
        return None
    shown = [SHOWN[name] for name in _SHOWN]
    notes = [f"{pick.name} ({pick.row.comparison.method}; {pick.data}): {pick.reason}" for pick in picks if pick.reason]
    papers = [(pick.name, text) for pick in picks for text in dict.fromkeys(pick.row.paper_notes)]
    notes += [f"{name}: the paper's number: {text}" for name, text in papers]
    return Table(
        kind=TableKind.HEADLINE,
        name=NAME,
        title="Headline: gap closed per architecture and domain",
        profile="",
        source="",
        about="the best evidence there is: real data before stand-ins, the profile that trains most first",
        columns=[*labels("architecture", "data"), *(one.column for one in shown)],
        rows=[[pick.name, pick.data, *(one.text(pick.row) for one in shown)] for pick in picks],
        number_columns=[*labels("profile", "data_source"), *number_columns(papers=True)],
        numbers=[[pick.profile, pick.source, *number_row(pick.row, papers=True)] for pick in picks],
        notes=[*LEGEND[:2], *coverage(pick.row.comparison for pick in picks), *notes],
        behind=[[(), (), *(one.behind(pick.row) for one in shown)] for pick in picks],
    )


def _picks(gap: Gap) -> list[Pick]:
    """The mean row, or the only row, of every architecture and method; then the means of domains."""
    found: dict[tuple[str, str, str], Pick] = {}
    for row in largest_samples(gap.rows):
        one = row.comparison
        # Means come last, so that an architecture's replaces the rows of its datasets.
        found[one.domain, one.architecture, one.method] = Pick(gap.profile, gap.source, row, _is_mean_of_domain(one))
    return list(found.values())


def _is_shown(pick: Pick) -> bool:
    """Whether the headline has the method: the standard ones and the user's own; all others are in the matrix."""
    entry = entry_behind(pick.row.comparison.method)
    return entry.standard or entry.name not in shipped_methods()


def _is_mean_of_domain(one: Comparison) -> bool:
    return one.architecture == one.domain and one.tasks > 1


def _place(pick: Pick) -> tuple[object, ...]:
    one = pick.row.comparison
    return (
        paper_place("domain", shipped_name(one.domain)),
        pick.mean,
        paper_place("architecture", shipped_name(one.architecture)),
        method_order(one.method),
    )


def _best(picks: Sequence[Pick]) -> list[Pick]:
    """The first pick of shipped settings; where it has no gap, also the first with one on data as real as its own."""
    first = [pick for pick in picks if not pick.tuned][:1]
    if not first or first[0].row.comparison.gap is not None:
        return first
    others = [pick for pick in picks if pick.row.comparison.gap is not None and pick.real >= first[0].real]
    return [*first, *others[:1]]
