"""The places of a table: which cells share one, and the paper's number beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.catalogue.domain import TableSpec
from benchmarks.catalogue.reference import Key, Published, published
from benchmarks.records.cells import ResultCell
from benchmarks.tables.scenes import mean_over_scenes


class Measure(NamedTuple):
    """A column of numbers: a metric under a method."""

    metric: str
    method: str


class TableCell(NamedTuple):
    """One place of a table: our cell, the paper's number, how many scenes of how many it covers, and their cells.

    ``left_out`` are the cells of further tasks that train the same network on the same data.
    """

    cell: ResultCell | None
    paper: Published | None
    scenes: str = ""
    sources: tuple[ResultCell, ...] = ()
    left_out: tuple[ResultCell, ...] = ()
    published: ResultCell | None = None  # what the published runs on the same data reached


def places_of(
    spec: TableSpec, cells: Iterable[ResultCell], real: bool
) -> dict[tuple[tuple[str, str], Measure], TableCell]:
    """The places that ``cells`` fill, by row (dataset, architecture) and measure."""
    groups: dict[tuple[tuple[str, str], Measure], list[ResultCell]] = defaultdict(list)
    for cell in cells:
        dataset = cell.dataset.partition("/")[0] if spec.scenes == "mean" else cell.dataset
        groups[(dataset, cell.architecture), Measure(cell.key.metric, cell.key.method)].append(cell)
    return {where: _place(group, where[0][0], real) for where, group in groups.items()}


def fullest(cell: ResultCell) -> tuple[object, ...]:
    """Sort key of tasks on the same network and data: the one with most seeds stands for them."""
    return (-cell.n, cell.skipped, cell.key.task)


def _place(group: Sequence[ResultCell], dataset: str, real: bool) -> TableCell:
    """Scenes are averaged; tasks on the same data are not, for their settings differ."""
    by_dataset: dict[str, list[ResultCell]] = defaultdict(list)
    for cell in group:
        by_dataset[cell.dataset].append(cell)
    tasks = [sorted(same, key=fullest) for same in by_dataset.values()]
    kept = tuple(first for first, *_ in tasks)
    left_out = tuple(cell for _, *others in tasks for cell in others if not cell.skipped)
    if len(kept) == 1 and kept[0].dataset == dataset:
        cell, covered, count = kept[0], [dataset], ""
    else:
        cell, covered, count = mean_over_scenes(kept, dataset)
    return TableCell(cell, _paper_of(cell, covered) if real else None, count, kept, left_out)


def _paper_of(cell: ResultCell, covered: Sequence[str]) -> Published | None:
    """The paper's number; over a part of the scenes, its mean over the same scenes."""
    keys = [Key(cell.domain, cell.architecture, name, cell.key.method, cell.key.metric) for name in covered]
    found = [published()[key] for key in keys if key in published()]
    if len(found) != len(keys):
        return None
    if len(found) == 1:
        return found[0]
    return Published(sum(one.value for one in found) / len(found), "the paper's mean over the scenes that were run")
