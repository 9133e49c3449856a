"""A finished table, which says as data what it is: its kind, its data source and profile, the role of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from benchmarks.records.cells import ResultCell
from benchmarks.tables.data_source import data_title

#: What stands in a place: not run yet; does not exist.
NOT_RUN, NONE = "…", "–"


class TableKind(Enum):
    """The subjects of tables, in the order in which tables follow each other."""

    RESULTS = "results"  # metrics by dataset and architecture, a column per method
    VARIANTS = "variants"  # runs with overrides beside the settings as shipped
    GAP = "gap"  # how far each method gets from shallow training to backprop
    COST = "cost"  # time and memory beside quality
    MATRIX = "matrix"  # the gap of every method on every architecture
    CLAIMS = "claims"  # of the companion papers, with our verdicts
    INFORMATION = "information"  # what methods say of themselves
    HEADLINE = "headline"  # the gap per architecture and domain, over all profiles and data sources


class Role(Enum):
    """The contents of columns."""

    LABEL = "label"  # names: text, on the left of the numbers
    VALUE = "value"  # numbers of ours
    PUBLISHED = "published"  # numbers of this suite's published runs, beside the column on the left
    PAPER = "paper"  # numbers of the paper, beside the same


class Column(NamedTuple):
    """A column: its role and heading, and what it measures of which method ("" where it is over several)."""

    role: Role
    heading: str
    metric: str = ""
    method: str = ""
    part: str = ""  # which figure of the metric it holds: mean, std, n, …


#: The cells behind one place of a table.
Behind = tuple[ResultCell, ...]


@dataclass(frozen=True)
class Table:
    """A finished table: ``rows`` for a reader, ``numbers`` the same in full precision for the CSV."""

    kind: TableKind
    name: str  # file name without suffix
    title: str
    profile: str  # "" for a table over several
    source: str  # of the data; "" for a table over several
    about: str  # what the subtitle says after data source and profile
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    number_columns: Sequence[Column]
    numbers: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    domain: str = ""  # "" for a table over several
    behind: Sequence[Sequence[Behind]] = ()  # the cells behind each place of ``rows``
    shown: bool = True  # printed at the end of a sweep

    @property
    def header(self) -> list[str]:
        """The headings of ``rows``."""
        return [column.heading for column in self.columns]

    @property
    def numbers_header(self) -> list[str]:
        """The headings of ``numbers``."""
        return [column.heading for column in self.number_columns]

    @property
    def labels(self) -> int:
        """How many columns of ``rows`` are labels; they come first."""
        return sum(column.role is Role.LABEL for column in self.columns)

    @property
    def subtitle(self) -> str:
        """Data source, profile, and what else there is to say, in one line."""
        return self.subtitle_with(data_title(self.source) if self.source else "")

    def subtitle_with(self, source: str) -> str:
        """The same with ``source`` as the words for the data source."""
        return " · ".join(filter(None, (source, self.profile and f"profile {self.profile}", self.about)))


def labels(*headings: str) -> list[Column]:
    """Columns of names."""
    return [Column(Role.LABEL, heading) for heading in headings]
