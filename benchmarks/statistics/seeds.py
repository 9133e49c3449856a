"""How many seeds a claim about a paired difference needs, from the std of the differences seen so far.

Both numbers use Student's t, so that they hold for few seeds. With s the standard deviation of the paired
differences, n is the smallest number of seeds for which

    t(.975, n − 1) s / √n ≤ h                            the 95% interval has half-width h or less,
    (t(.975, n − 1) + t(.80, n − 1)) s / √n ≤ |d|        it excludes 0 with probability `POWER`, if d is the truth.

The first alone with h = |d| would give even odds of missing a true difference. See C. Colas, O. Sigaud and
P.-Y. Oudeyer, "How many random seeds?", arXiv:1806.08295. The std of a few seeds is itself uncertain (of five, by a
third or so): take the numbers as orders of magnitude. For a mean over k tasks n counts the seeds of each, s is that
of the mean, and the degrees of freedom are k (n − 1).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.special import stdtrit

from benchmarks.statistics.bootstrap import LEVEL

POWER = 0.8
#: Larger numbers are infinity: no one will run them.
MOST = 1000
_SEEDS = np.arange(2, MOST + 1)


def seeds_for_width(std: float, half_width: float, tasks: int = 1) -> float:
    """Seeds for an interval of ± ``half_width``: 2 or more, infinity beyond `MOST`, NaN where ``std`` is unknown."""
    return _smallest(std, half_width, tasks, (1 + LEVEL) / 2)


def seeds_for_sign(std: float, difference: float, tasks: int = 1) -> float:
    """Seeds for an interval without 0 around ``difference``, which is never for a difference of 0; else as above."""
    if difference == 0:
        return math.inf
    return _smallest(std, abs(difference), tasks, (1 + LEVEL) / 2, POWER)


def _smallest(std: float, width: float, tasks: int, *probabilities: float) -> float:
    if math.isnan(std) or math.isnan(width):
        return math.nan
    enough = _quantiles(tasks, *probabilities) * std / np.sqrt(_SEEDS) <= width
    return int(_SEEDS[enough.argmax()]) if enough.any() else math.inf


@cache
def _quantiles(tasks: int, *probabilities: float) -> np.ndarray:
    """The sum of Student's quantiles for each of `_SEEDS`."""
    return np.sum([stdtrit(tasks * (_SEEDS - 1), p) for p in probabilities], axis=0)
