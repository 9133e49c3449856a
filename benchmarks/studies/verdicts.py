"""Verdicts: whether a measured mean with its interval shows a claim, and the numbers that such a claim needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import spearmanr

from benchmarks.curves.chart import Series
from benchmarks.studies.study import Done, Findings, Measured, measured


def above(found: Measured, bound: float) -> bool | None:
    """Whether the mean lies above ``bound``, with its interval where there is one; None without a number."""
    if math.isnan(found.mean):
        return None
    return (found.mean if math.isnan(found.low) else found.low) > bound


def below(found: Measured, bound: float) -> bool | None:
    """Whether the mean lies below ``bound``, likewise."""
    if math.isnan(found.mean):
        return None
    return (found.mean if math.isnan(found.high) else found.high) < bound


def near(found: Measured, reference: float, tolerance: float) -> bool | None:
    """Whether the mean lies within ``tolerance`` of ``reference``; None without a number."""
    return None if math.isnan(found.mean) else abs(found.mean - reference) <= tolerance


def differences(a: Findings, b: Findings, measure: Callable[[Done], float]) -> Measured:
    """The mean over the seeds in common of the measure of ``a`` minus that of ``b``."""
    of_b = {run.record.seed: measure(run) for run in b}
    pairs = [measure(run) - of_b[run.record.seed] for run in a if run.record.seed in of_b]
    return measured(pairs, a.study)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's, of the pairs that are finite; NaN of fewer than three."""
    pairs = np.array([(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)])
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic) if len(pairs) > 2 else math.nan


def single(value: float) -> Measured:
    """A number without interval."""
    return Measured(value, math.nan, math.nan, 1 if math.isfinite(value) else 0)


def text(found: Measured, decimals: int = 2) -> str:
    """A number for a table: its mean, and the interval where there is one."""
    if math.isnan(found.mean):
        return "…"
    interval = "" if math.isnan(found.low) else f" [{found.low:.{decimals}f}, {found.high:.{decimals}f}]"
    return f"{found.mean:.{decimals}f}{interval}"


def line(name: str, x: Sequence[float], found: Sequence[Measured]) -> Series:
    """A chart's line through the means that there are; its band are their intervals."""
    known = [(place, one) for place, one in zip(x, found, strict=True) if math.isfinite(one.mean)]
    places = np.array([place for place, _ in known], dtype=float)
    mean = np.array([one.mean for _, one in known])
    low = np.array([one.low if math.isfinite(one.low) else one.mean for _, one in known])
    high = np.array([one.high if math.isfinite(one.high) else one.mean for _, one in known])
    return Series(name, name, places, mean, low, high, max((one.n for _, one in known), default=0))
