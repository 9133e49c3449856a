"""Measures of a run of several seeds side by side: every number is a mean over them, with its standard error."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.curves.chart import Series
from benchmarks.statistics.bootstrap import t_quantile
from benchmarks.studies.study import Done, Measured
from benchmarks.studies.verdicts import single


def last(run: Done, name: str) -> Measured:
    """The last value of a column that is a mean over copies, with its interval by the standard error beside it."""
    values, errors = run.column(name), run.column(f"{name}/error")
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return single(math.nan)
    copies = int(run.setting("task.model.copies"))
    half = t_quantile(0.975, copies - 1) * float(errors[known[-1]]) if copies > 1 else math.nan
    value = float(values[known[-1]])
    return Measured(value, value - half, value + half, copies)


def at_epoch(run: Done, name: str, epoch: int) -> float:
    """The value at the first evaluation at or behind an epoch; NaN where the run ended before."""
    values = run.column(name)[run.column("epoch") >= epoch]
    return float(values[0]) if len(values) else math.nan


def line_of(run: Done, name: str, label: str) -> Series | None:
    """A column over epochs with the band of its standard error."""
    values, errors = run.column(name), run.column(f"{name}/error")
    known = np.isfinite(values)
    if known.sum() < 2:
        return None
    copies = int(run.setting("task.model.copies"))
    half = t_quantile(0.975, max(copies - 1, 1)) * np.nan_to_num(errors[known])
    epochs, mean = run.column("epoch")[known], values[known]
    return Series(label, label, epochs, mean, mean - half, mean + half, copies)
