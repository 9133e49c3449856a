"""The headline table: the gap between shallow and bp that each method closes, by task, architecture and domain.

It takes the primary metric of every task with the settings as shipped, one row per task and method. Means over an
architecture's datasets and over a domain's architectures follow where there is more than one.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from benchmarks.catalogue.discovery import architectures
from benchmarks.records.cells import NAN, ResultCell
from benchmarks.statistics import Comparison, average, compare, scale_of
from benchmarks.statistics.comparison import CONTROL, REFERENCE
from benchmarks.tables.data_source import data_markdown, suffix_of
from benchmarks.tables.gap_text import (
    LABELS,
    LEGEND,
    Row,
    coverage,
    number_row,
    numbers_header,
    place_of,
    source_row,
    text_header,
    text_row,
)
from benchmarks.tables.places import fullest
from benchmarks.tables.reference import Key, Published, paper_order, published
from benchmarks.tables.specs import method_order, network, title
from benchmarks.tables.text import Table

NAME = "gap_closed"


def gap_table(cells: Iterable[ResultCell], profile: str, source: str) -> Table | None:
    """The table over the cells of one profile and data source; None where no method can be compared."""
    tasks = _tasks(cells, profile, source)
    every = _rows(tasks, source == "real")
    if not every:
        return None
    papers = any(not math.isnan(row.paper) for row in every)
    return Table(
        name=f"{NAME}{suffix_of(source)}",
        title="Gap closed: how far each method gets from shallow training to backprop",
        subtitle=f"{data_markdown(source)} · profile {profile} · primary metric of each task, means over seeds",
        header=text_header(papers),
        rows=[text_row(row, papers) for row in every],
        numbers_header=numbers_header(papers),
        numbers=[number_row(row, papers) for row in every],
        notes=[*LEGEND, *_notes(every, tasks)],
        labels=len(LABELS),
        sources=[source_row(row, papers) for row in every],
    )


def gap_rows(cells: Iterable[ResultCell], profile: str, source: str) -> list[Row]:
    """The rows of the table: of every task and method, then of the means; empty where nothing can be compared."""
    return _rows(_tasks(cells, profile, source), source == "real")


def _rows(tasks: Sequence[dict[str, ResultCell]], real: bool) -> list[Row]:
    rows = sorted((_row(one, task, real) for task in tasks for one in compare(task)), key=_order)
    return [*rows, *_means(rows)]


def _tasks(cells: Iterable[ResultCell], profile: str, source: str) -> list[dict[str, ResultCell]]:
    here = [cell for cell in cells if (cell.key.profile, cell.key.data_source) == (profile, source)]
    return primary_by_task([cell for cell in here if not _is_recipe(cell.architecture)])


def _is_recipe(architecture: str) -> bool:
    """Whether it is another recipe, published for DFA alone: there is nothing to compare it with."""
    known = architectures().get(architecture)
    return known is not None and bool(known.recipe_of)


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


def _row(comparison: Comparison, task: dict[str, ResultCell], real: bool) -> Row:
    """``comparison`` beside what the paper's numbers for bp, the method and shallow say, if it has all three."""
    names = (REFERENCE, comparison.method, CONTROL)
    sources = tuple((task[name],) if name in task else () for name in names)
    keys = [Key(comparison.domain, comparison.architecture, comparison.dataset, n, comparison.metric) for n in names]
    found = [published()[key] for key in keys if key in published()]
    if not real or len(found) != len(keys):
        return Row(comparison, sources=sources)
    notes = tuple(one.note for one in found if one.note)
    return Row(comparison, _paper_gap(found, comparison.metric), notes, sources)


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
    sources = tuple(tuple(chain.from_iterable(part)) for part in zip(*(row.sources for row in rows), strict=True))
    return Row(mean, statistics.fmean(row.paper for row in rows) if complete else NAN, sources=sources)


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
