"""Bootstrap over seeds: resampled means, and a percentile interval that is honest for few seeds.

Percentile, not BCa: the plain percentile interval is too narrow for few seeds, because resampled means vary by
(n − 1)/n of what means of new seeds would, and because it has normal tails where the std is estimated. BCa corrects
skewness, which is not the trouble, and takes its acceleration from a jackknife of a handful of values. So the
percentiles are moved outward instead ("expanded percentile", T. Hesterberg, "What Teachers Should Know About the
Bootstrap", The American Statistician 69, 2015): from Φ(−z) to Φ(−t √(n/(n − 1))). Percentiles also carry over to
ratios, which is what a gap closed is.

Coverage of a nominal 95%, means of 3, 5 and 10 normal values, 1500 samples each: plain percentile .73, .84, .90;
BCa .66, .84, .89; expanded .73, .92, .94. For three seeds nothing helps: no interval made of resampled means leaves
the range of the values, so it covers the centre of a symmetric distribution with probability 1 − 2^(1 − n) at most,
.5 for two seeds, .75 for three, .94 for five. `MANY` is the smallest number for which 95% is within reach.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

LEVEL = 0.95
RESAMPLES = 10_000
#: Seeds from which on an interval of resampled means can reach `LEVEL`.
MANY = 6


class Interval(NamedTuple):
    low: float
    high: float


def resampled_means(values: np.ndarray, key: str) -> np.ndarray:
    """Means of ``values`` (n, k) over seeds drawn with replacement: (`RESAMPLES`, k).

    A row of ``values`` is a seed, and a drawn seed brings all its columns: methods stay paired. The draw depends
    on ``key`` and n alone.
    """
    drawn = _drawn(key, len(values))
    return np.stack([column.take(drawn).mean(axis=0) for column in values.T], axis=1)


@lru_cache(maxsize=8)
def _drawn(key: str, count: int) -> np.ndarray:
    """Seeds drawn with replacement: (count, `RESAMPLES`).

    Drawing takes longest, and a method's level, difference and gap are asked for one after the other.
    """
    # RandomState's streams are frozen by numpy's policy, those of its Generator are not: tables must not change.
    random = np.random.RandomState(int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big"))
    return random.randint(count, size=(RESAMPLES, count), dtype=np.int64).T.copy()  # rows are added fastest


def tail(sizes: Sequence[int]) -> float:
    """Probability beyond either end of the interval, for the mean over tasks of ``sizes`` seeds (each 2 or more).

    With one task Φ(−t √(n/(n − 1))), t being Student's quantile with n − 1 degrees of freedom. With several, the
    narrowness and (by Welch and Satterthwaite) the degrees of freedom are those of tasks of equal variance.
    """
    true = sum(1 / n for n in sizes)
    resampled = sum((n - 1) / n**2 for n in sizes)
    freedom = true**2 / sum(1 / (n**2 * (n - 1)) for n in sizes)
    return float(ndtr(-t_quantile((1 + LEVEL) / 2, freedom) * math.sqrt(true / resampled)))


def t_quantile(p: float, dof: float) -> float:
    """The ``p`` quantile of Student's distribution with ``dof`` degrees of freedom."""
    return float(stdtrit(dof, p))


def percentile_interval(draws: np.ndarray, sizes: Sequence[int]) -> Interval | None:
    """The interval of a resampled statistic, ``draws`` (`RESAMPLES`,); None where it has no finite ends."""
    beyond = tail(sizes)
    # Order statistics, not interpolation: an infinite draw (a ratio without denominator) must stay beyond its rank.
    low, high = np.quantile(draws, [beyond, 1 - beyond], method="inverted_cdf")
    return Interval(float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else None
