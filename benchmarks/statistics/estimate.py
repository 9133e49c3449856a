"""Estimates: a number from some seeds with its uncertainty, and means of estimates over tasks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.records.cells import NAN, sample_std
from benchmarks.statistics.bootstrap import Interval, percentile_interval, resampled_means


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number, how it varies between seeds, and its resampled values.

    ``std`` is the standard deviation of the number from one seed (one seed per task, for a mean over tasks), NaN
    where unknown. ``draws`` are what the bootstrap made of the number, None for a single seed.
    """

    value: float
    std: float
    sizes: tuple[int, ...]  # seeds of each task behind the number
    draws: np.ndarray | None

    @property
    def tasks(self) -> int:
        return len(self.sizes)

    @cached_property
    def interval(self) -> Interval | None:
        """95% bootstrap interval; None for a single seed."""
        return None if self.draws is None else percentile_interval(self.draws, self.sizes)


def estimate(values: Sequence[float], key: str) -> Estimate | None:
    """The mean of one value per seed; None without values."""
    if not len(values):
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Estimate(mean, NAN, (1,), None)
    draws = resampled_means(np.asarray(values, dtype=float)[:, None], key)[:, 0]
    return Estimate(mean, sample_std(values), (len(values),), draws)


def mean_of(parts: Sequence[Estimate]) -> Estimate | None:
    """The mean of estimates of different tasks, whose seeds were drawn independently; None of none.

    The tasks are taken as given: the interval says what other seeds would do, not what other datasets would.
    """
    if not parts:
        return None
    known = [part.draws for part in parts if part.draws is not None]
    return Estimate(
        value=statistics.fmean(part.value for part in parts),
        std=math.hypot(*(part.std for part in parts)) / len(parts),
        sizes=tuple(size for part in parts for size in part.sizes),
        draws=np.mean(known, axis=0) if len(known) == len(parts) else None,
    )
