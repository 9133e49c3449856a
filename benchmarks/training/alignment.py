"""Alignment of a run: measured on the way and at the end, without a trace in the training.

Two levels, both at every feedback point: the activations (the cosine of each sample's signal with dL/dh,
arXiv:2006.12878, appendix A) and the weights below the point (the cosine of each row of their gradients, and of the
gradients as a whole; `dfa_core.WeightAlignment` has the formula). A run's metrics are those of the deepest point.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.records.record import QUANTILES, PointSummary, Record, WeightsSummary
from benchmarks.records.run_history import ALIGNMENT, WEIGHT_ALIGNMENT
from benchmarks.tasks.task import Task
from benchmarks.training.randomness import random_state, set_random_state
from dfa_core import Alignment, FeedbackError, Method, WeightAlignment, measure_alignment

log = logging.getLogger(__name__)

#: Columns of a history, by level: what stands behind the level's name.
_OF_SAMPLES = ("_mean", "_std", "_q05", "_q50", "_q95")
_OF_WEIGHTS = ("", "_mean", "_q05", "_q95")


def has_alignment(method: Method) -> bool:
    """Whether the method trains what lies below the error tap by something else than backprop's gradients."""
    return not (method.exact or method.leaves_parameters_untrained)


def alignment_row(task: Task, method: Method) -> dict[str, float]:
    """Both levels at each feedback point in the middle of a training, which goes on as if nothing had been asked.

    Returns:
        The history's columns, a statistic at a time with the points from the input upwards:
        ``alignment_cosine_mean/<point>``, ``_std``, ``_q05``, ``_q50``, ``_q95`` over samples, then
        ``weight_alignment_cosine/<point>`` of the whole gradient and ``_mean``, ``_q05``, ``_q95`` over rows.
    """
    try:
        measured = measured_alignment(task, method)
    except FeedbackError:  # a method of the user's own that sends no signals here; `add_alignment` says so at the end
        return {}
    samples = {point: _columns(cosines) for point, cosines in measured.points.items()}
    weights = {point: {"": found.cosine, **_columns(found.rows)} for point, found in measured.weights.items()}
    levels = [(ALIGNMENT, _OF_SAMPLES, samples), (WEIGHT_ALIGNMENT, _OF_WEIGHTS, weights)]
    return {
        f"{level}{statistic}/{point}": values[statistic]
        for level, statistics, points in levels
        for statistic in statistics
        for point, values in points.items()
        if statistic in values
    }


def add_alignment(record: Record, task: Task, method: Method) -> None:
    """Alignment with the weights the training ended with, dropout as in training."""
    try:
        measured = measured_alignment(task, method)
    except FeedbackError as error:  # a method of the user's own that sends no signals here
        log.warning("%s: no alignment: %s", record.run_id, error)
        return
    if void := [name for name, found in measured.statistics.items() if found.void]:
        log.warning(
            "%s: backprop's gradient vanishes or overflows, so there is no alignment: %s",
            record.run_id,
            ", ".join(void),
        )
    points = {
        name: c
        for name, c in measured.points.items()
        if c.numel() > 1 and bool(c.isfinite().all()) and name not in void
    }
    weights = {name: _weights(found) for name, found in measured.weights.items() if math.isfinite(found.cosine)}
    if (measured.points and measured.deepest_point not in points) or not (points or weights):
        return
    record.metrics |= _metrics(measured)
    record.alignment = {
        "order": list(points or weights),  # from the input upwards: a record's keys are sorted
        "points": {name: _point(measured, name) for name in points},
        "parameters": {name: cosine for name, cosine in measured.parameters.items() if math.isfinite(cosine)},
    }
    for name in points.keys() & weights.keys():
        record.alignment["points"][name]["weights"] = weights[name]
    if not points:
        record.alignment["weights"] = weights


def _point(measured: Alignment, name: str) -> PointSummary:
    cosines, statistics = measured.points[name], measured.statistics.get(name)
    more = {} if statistics is None else vars(statistics)
    finite = {key: value for key, value in more.items() if key != "void" and math.isfinite(value)}
    return cast(PointSummary, {**_summary(cosines), "samples": cosines.numel(), **finite})


def _weights(found: WeightAlignment) -> WeightsSummary:
    summary: Any = _summary(found.rows) if _has_spread(found.rows) else {}
    return cast(WeightsSummary, {"cosine": found.cosine, "rows": found.rows.numel(), **summary})


def _metrics(measured: Alignment) -> dict[str, float]:
    """The cosines of the deepest point, in double precision."""
    found = _moments(ALIGNMENT, measured.deepest) if measured.points else {}
    weights = measured.weights.get(measured.deepest_point)
    if weights is not None and math.isfinite(weights.cosine):
        found[WEIGHT_ALIGNMENT] = weights.cosine
        if _has_spread(weights.rows):
            found |= _moments(WEIGHT_ALIGNMENT, weights.rows)
    return found


def _moments(level: str, cosines: Tensor) -> dict[str, float]:
    return {f"{level}_mean": cosines.double().mean().item(), f"{level}_std": cosines.double().std().item()}


def measured_alignment(task: Task, method: Method) -> Alignment:
    with undisturbed(task):
        task.model.train()
        batch = task.alignment_batch()
        supervision = task.supervision(batch) if method.needs - {"replay"} else None
        return measure_alignment(method, lambda: task.alignment_loss(batch), supervision)


@contextlib.contextmanager
def undisturbed(task: Task) -> Iterator[None]:
    """A block that leaves random generators, the model's mode and its buffers as they are.

    A forward pass in training mode draws dropout masks and moves batch norm's running statistics.
    """
    generators, training = random_state(), task.model.training
    buffers = [(buffer, buffer.clone()) for buffer in task.model.buffers()]
    try:
        yield
    finally:
        set_random_state(generators)
        task.model.train(training)
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)


def _columns(cosines: Tensor) -> dict[str, float]:
    """A history's statistics of cosines ``(n,)`` by suffix, as far as they exist: none of no value, no std of one."""
    if not cosines.numel():
        return {}
    low, middle, high = _quantiles(cosines, (0.05, 0.5, 0.95))
    spread = {"_std": cosines.std().item()} if cosines.numel() > 1 else {}
    return {"_mean": cosines.mean().item(), **spread, "_q05": low, "_q50": middle, "_q95": high}


def _summary(cosines: Tensor) -> Any:
    """A record's statistics of two cosines or more, ``(n,)``."""
    return {
        "mean": cosines.mean().item(),
        "std": cosines.std().item(),
        "quantiles": _quantiles(cosines, QUANTILES),
    }


def _quantiles(cosines: Tensor, q: tuple[float, ...]) -> list[float]:
    return torch.quantile(cosines, torch.tensor(q)).tolist()


def _has_spread(cosines: Tensor) -> bool:
    return cosines.numel() > 1 and bool(cosines.isfinite().all())
