"""A method on one task beside bp and shallow: the paired difference to bp, and the gap closed.

    gap closed = (method − shallow) / (bp − shallow)

is 1 for a method as good as backprop and 0 for one that gains nothing from training hidden layers. Both
differences are means over the seeds that all three have; the bootstrap draws seeds, and a seed brings its three
runs, because methods of one seed share initial weights, data order and split.

The gap exists where bp is clearly better than shallow: by the metric's ``min_effect`` at least, and by Student's t
interval over the paired seeds, whose lower end must be above 0. That is the condition under which a ratio of means
has a bounded confidence set at all (E. Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16,
1954), and for two or three seeds it is stricter than the bootstrap. Elsewhere there is a reason and no number.
A single seed has no interval; then only the ``min_effect`` is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.records.cells import ResultCell
from benchmarks.statistics.bootstrap import LEVEL, resampled_means, t_quantile
from benchmarks.statistics.estimate import Estimate, estimate
from benchmarks.statistics.scale import Scale, scale_of

REFERENCE, CONTROL = "bp", "shallow"


@dataclass(frozen=True, eq=False)
class Comparison:
    """A method on a task, or on the mean over several; None stands for what does not exist.

    ``bp``, ``score`` and ``shallow`` are means in the metric's unit over all seeds of each, as in every other table.
    ``difference`` (method − bp) and ``room`` (bp − shallow), both on the metric's scale, and ``gap`` are over the seeds
    in common.
    """

    domain: str
    architecture: str
    dataset: str
    method: str
    metric: str  # "" for a mean over tasks with different ones
    bp: Estimate | None
    score: Estimate | None
    shallow: Estimate | None
    difference: Estimate | None
    gap: Estimate | None
    room: Estimate | None
    tasks: int = 1
    remarks: tuple[str, ...] = ()  # why something is missing, or rests on fewer seeds

    @property
    def effect(self) -> float:
        """The smallest difference that matters, in the unit of ``difference``; NaN without metric or bp."""
        return scale_of(self.metric).effect(self.bp.value) if self.metric and self.bp else math.nan


def compare(cells: Mapping[str, ResultCell]) -> list[Comparison]:
    """Every method of one task but bp and shallow; ``cells`` are those of the task's primary metric by method.

    Raises:
        ValueError: a perplexity that is not positive; one line.
    """
    return [
        _comparison(method, cells)
        for method in cells
        if method not in (REFERENCE, CONTROL) and not cells[method].skipped
    ]


def _comparison(method: str, cells: Mapping[str, ResultCell]) -> Comparison:
    cell = cells[method]
    scale = scale_of(cell.key.metric)
    gap, reason = _gap(method, cells, scale)
    return Comparison(
        domain=cell.domain,
        architecture=cell.architecture,
        dataset=cell.dataset,
        method=method,
        metric=cell.key.metric,
        bp=_level(cells.get(REFERENCE)),
        score=_level(cell),
        shallow=_level(cells.get(CONTROL)),
        difference=_difference(method, REFERENCE, cells, scale),
        gap=gap,
        room=_difference(REFERENCE, CONTROL, cells, scale),
        remarks=tuple(_remarks(method, cells, reason)),
    )


def _level(cell: ResultCell | None) -> Estimate | None:
    return estimate(list(cell.values.values()), str(cell.key)) if cell else None


def _paired(cells: Mapping[str, ResultCell], methods: tuple[str, ...], scale: Scale) -> np.ndarray:
    """Values (seeds, methods) of the seeds that all ``methods`` have, by ascending seed."""
    seeds = _common(cells, methods)
    return np.stack([scale.of(cells[name].values[seed] for seed in seeds) for name in methods], axis=1)


def _common(cells: Mapping[str, ResultCell], methods: tuple[str, ...]) -> list[int]:
    return sorted(set.intersection(*(set(cells[name].values) for name in methods)))


def _difference(first: str, second: str, cells: Mapping[str, ResultCell], scale: Scale) -> Estimate | None:
    """``first`` − ``second``, seed by seed; None where one of them was not run or they have no seed in common."""
    if first not in cells or second not in cells:
        return None
    values = _paired(cells, (first, second), scale)
    return estimate(values[:, 0] - values[:, 1], str(cells[first].key))


def _gap(method: str, cells: Mapping[str, ResultCell], scale: Scale) -> tuple[Estimate | None, str]:
    """The gap closed, or why there is none."""
    for name in (REFERENCE, CONTROL, method):
        cell = cells.get(name)
        if cell is None or not cell.n:
            return None, f"no gap: {name} has no result" + (f" ({_not_ok(cell)})" if cell and cell.runs else "")
    bp, scores, shallow = (values := _paired(cells, (REFERENCE, method, CONTROL), scale)).T
    if not len(values):
        return None, f"no gap: {REFERENCE}, {method} and {CONTROL} have no seed in common"
    if not _clearly_positive(scale.metric.sign * (bp - shallow), scale.effect(cells[REFERENCE].mean)):
        return None, f"no gap: {REFERENCE} is not clearly better than {CONTROL}"
    value = float((scores - shallow).mean() / (bp - shallow).mean())
    if len(values) == 1:
        return Estimate(value, math.nan, (1,), None), ""
    above, below = resampled_means(np.stack([scores - shallow, bp - shallow], axis=1), str(cells[method].key)).T
    exists = below * scale.metric.sign > 0
    draws = np.divide(above, below, out=np.full_like(above, np.inf), where=exists)
    return Estimate(value, math.nan, (len(values),), draws), ""


def _clearly_positive(differences: np.ndarray, effect: float) -> bool:
    mean, count = differences.mean(), len(differences)
    if mean < effect or mean <= 0:
        return False
    return count == 1 or mean > t_quantile((1 + LEVEL) / 2, count - 1) * differences.std(ddof=1) / math.sqrt(count)


def _remarks(method: str, cells: Mapping[str, ResultCell], reason: str) -> Iterator[str]:
    if reason:
        yield reason
    compared = [name for name in (REFERENCE, method, CONTROL) if name in cells and cells[name].n]
    common = len(_common(cells, tuple(compared))) if compared else 0
    if common and any(cells[name].n != common for name in compared):
        counts = ", ".join(f"{name} has {cells[name].n}" for name in compared)
        yield f"{common} seeds in common: {counts}"
    for name in (REFERENCE, method, CONTROL):
        cell = cells.get(name)
        if cell and cell.n < cell.runs and _not_ok(cell) not in reason:
            yield f"{name}: {_not_ok(cell)}"


def _not_ok(cell: ResultCell) -> str:
    return f"{cell.runs - cell.n} of {cell.runs} runs not ok: {cell.reason}"
