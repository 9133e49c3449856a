"""The headline table: the gap between shallow and bp that each method closes, by task, architecture and domain.

It takes the primary metric of every task with the settings as shipped, one row per task and method. Means over an
architecture's datasets and over a domain's architectures follow where there is more than one.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.catalogue.methods import method_order
from benchmarks.catalogue.names import is_tuned, network, sample_of, title
from benchmarks.catalogue.reference import Key, Published, paper_order, published
from benchmarks.catalogue.tables import is_recipe
from benchmarks.records.cells import NAN, ResultCell, Slice
from benchmarks.statistics import Comparison, average, compare, scale_of
from benchmarks.statistics.comparison import CONTROL, REFERENCE
from benchmarks.tables.data_source import REAL, suffix_of
from benchmarks.tables.gap_text import LEGEND, SHOWN, Row, coverage, number_columns, number_row, place_of
from benchmarks.tables.places import fullest
from benchmarks.tables.table import Table, TableKind

NAME = "gap_closed"


#: Columns for a reader, as `SHOWN` names them; the paper's only where it has numbers.
_COLUMNS = (
    *("dataset", "architecture", "method", "bp", "score", "shallow", "gap", "paper"),
    *("difference", "seeds", "n effect", "n sign"),
)


class Gap(NamedTuple):
    """The gaps of one profile and data source: rows of every task and method, then of the means."""

    profile: str
    source: str
    tasks: Sequence[dict[str, ResultCell]]  # as of `primary_by_task`
    rows: Sequence[Row]  # empty where nothing can be compared

    @property
    def shipped(self) -> bool:
        """Whether there are tasks with the settings as shipped, beside those of a search."""
        return any(not is_tuned(cell.domain) for task in self.tasks for cell in task.values())


def gap_of(part: Slice) -> Gap:
    """Compare every method of every task with backprop and shallow training."""
    tasks = primary_by_task(cell for cell in part.cells if not is_recipe(cell.architecture))
    rows = sorted((_row(one, task, part.source == REAL) for task in tasks for one in compare(task)), key=_order)
    return Gap(part.profile, part.source, tasks, [*rows, *_means(largest_samples(rows))])


def gap_table(gap: Gap) -> Table | None:
    """The table of these gaps; None where no method can be compared."""
    if not gap.rows:
        return None
    papers = any(not math.isnan(row.paper) for row in gap.rows)
    shown = [SHOWN[name] for name in _COLUMNS if papers or name != "paper"]
    return Table(
        kind=TableKind.GAP,
        name=f"{NAME}{suffix_of(gap.source)}",
        title="Gap closed: how far each method gets from shallow training to backprop",
        profile=gap.profile,
        source=gap.source,
        about="primary metric of each task, means over seeds",
        columns=[one.column for one in shown],
        rows=[[one.text(row) for one in shown] for row in gap.rows],
        number_columns=number_columns(papers),
        numbers=[number_row(row, papers) for row in gap.rows],
        notes=[*LEGEND, *_notes(gap.rows, gap.tasks)],
        behind=[[one.behind(row) for one in shown] for row in gap.rows],
    )


def primary_by_task(cells: Iterable[ResultCell]) -> list[dict[str, ResultCell]]:
    """Per architecture and dataset the primary cells by method, as shipped.

    Tasks of one architecture on one dataset are taken together: placements of the feedback have a task each, and
    backprop, which has no placement, runs in one of them. A task that never gave a number has no metric yet.
    """
    tasks: dict[tuple[str, str, str], dict[str, ResultCell]] = defaultdict(dict)
    for cell in sorted(cells, key=lambda cell: (method_order(cell.key.method), *fullest(cell))):
        if cell.primary and cell.key.metric and not cell.key.variant and not cell.skipped:
            tasks[cell.domain, cell.architecture, cell.dataset].setdefault(cell.key.method, cell)
    return list(tasks.values())


def largest_samples(rows: Sequence[Row]) -> list[Row]:
    """One row of a method on an architecture for all samples of the same data: that of the largest."""
    best: dict[tuple[str, ...], Row] = {}
    for row in sorted(rows, key=lambda row: sample_of(row.comparison.dataset)[1]):
        best.setdefault(_data_of(row.comparison), row)
    return [row for row in rows if best[_data_of(row.comparison)] is row]


def _data_of(one: Comparison) -> tuple[str, ...]:
    return (one.domain, one.architecture, one.method, sample_of(one.dataset)[0])


def _row(comparison: Comparison, task: dict[str, ResultCell], real: bool) -> Row:
    """``comparison`` beside what the paper's numbers for bp, the method and shallow say, if it has all three."""
    names = (REFERENCE, comparison.method, CONTROL)
    behind = [(task[name],) if name in task else () for name in names]
    keys = [Key(comparison.domain, comparison.architecture, comparison.dataset, n, comparison.metric) for n in names]
    found = [published()[key] for key in keys if key in published()]
    if not real or len(found) != len(keys):
        return Row(comparison, NAN, (), *behind)
    notes = tuple(one.note for one in found if one.note)
    return Row(comparison, _paper_gap(found, comparison.metric), notes, *behind)


def _paper_gap(found: Sequence[Published], metric: str) -> float:
    bp, score, shallow = scale_of(metric).of(one.value for one in found)
    return float((score - shallow) / (bp - shallow)) if bp != shallow else NAN


def _order(row: Row) -> tuple[object, ...]:
    one = row.comparison
    return (*paper_order(one.domain, one.dataset, one.architecture), method_order(one.method))


def _means(rows: Sequence[Row]) -> Iterator[Row]:
    """Per domain: a row per architecture with several datasets, then one if there are several architectures."""
    domains: dict[str, dict[tuple[str, str], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        one = row.comparison
        domains[one.domain][one.architecture, one.method].append(row)
    for domain, groups in domains.items():
        means = {key: _mean(group, key[0]) for key, group in groups.items()}
        yield from (row for row in means.values() if row.comparison.tasks > 1)
        for method in dict.fromkeys(method for _, method in means):
            members = [row for key, row in means.items() if key[1] == method]
            if len(members) > 1:
                yield _mean(members, domain)


def _mean(rows: Sequence[Row], name: str) -> Row:
    mean = average([row.comparison for row in rows], name)
    # Beside a mean over some of the tasks the paper's mean over all would mislead.
    complete = mean.gap is not None and mean.gap.tasks == mean.tasks
    return Row(
        mean,
        statistics.fmean(row.paper for row in rows) if complete else NAN,
        bp=tuple(cell for row in rows for cell in row.bp),
        method=tuple(cell for row in rows for cell in row.method),
        shallow=tuple(cell for row in rows for cell in row.shallow),
    )


def _notes(rows: Sequence[Row], tasks: Sequence[dict[str, ResultCell]]) -> list[str]:
    """Remarks below the table: each text once, with the rows it concerns."""
    texts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        papers = [f"the paper's number: {note}" for note in dict.fromkeys(row.paper_notes)]
        for text in [*row.comparison.remarks, *papers]:
            texts[text].append(place_of(row.comparison))
    for text in coverage(row.comparison for row in rows):
        texts[text] = []
    for task in tasks:
        if not any(method not in (REFERENCE, CONTROL) for method in task):
            first = next(iter(task.values()))
            texts["no method to compare"].append(
                f"{network(first.domain, first.architecture)} on {title(first.dataset)}"
            )
    return [f"{text}: {', '.join(where)}" if where else text for text, where in texts.items()]
