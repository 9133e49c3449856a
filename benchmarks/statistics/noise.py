"""The statistics of a comparison: is a cell's difference more than noise?

Three situations, from the most to the least that is known:

- **Paired**: both sides ran the same seeds (two or more). Methods share weights, split and data order per
  seed, so the noise is that of the differences by seed: their standard error.
- **Rerun**: one common seed under the same settings and data. A deterministic program repeats its number;
  only floating-point order differs between machines, and the metric's ``rerun_tolerance`` covers that. By the
  same reasoning a paired cell of unchanged settings changed if *every* common seed moved the same way by more
  than that tolerance. (Code that draws its random numbers differently breaks this: ``Rules.unpaired``.)
- **Independent**: other seeds. Welch's standard error where both sides have six runs or more; below that the
  sides' variances are pooled, because one of two or three values says next to nothing.

A variance with fewer than five degrees of freedom borrows the missing ones from the variances of that metric
and method in this comparison: with two seeds a std is small by chance so often that some cell of a hundred would
always raise false alarms. Differences by seed borrow from their median. Values borrow from their ninth decile, because
three of them can all lie in one of two clusters: DNA's accuracies on Cora do, 83 on some splits and 88 on others. In
400 draws of three against three of the ten published-setting seeds of 154 citation cells the median raised two false
alarms, both there, and the decile none; thresholds are a fifth wider. Where nothing is known (single runs of other
seeds everywhere), three times the ``rerun_tolerance`` stands in for it; give a baseline two seeds or more.

A cell changed only if the difference exceeds both the metric's ``min_effect`` tolerance and the noise threshold.
``sigmas`` is the threshold for the comparison as a whole: with m judged cells each one is held to the
stricter level that keeps the chance that *any* is falsely called worse at that of one normal variable above
``sigmas`` (Šidák), and Student's t widens it for few degrees of freedom. At 3 sigmas that chance is 1 in 740, and
as much again that any is falsely called better, which the gate fails on as well: there it is 1 in 370.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

from benchmarks.records import metrics
from benchmarks.records.cells import NAN, ResultCell
from benchmarks.statistics.bootstrap import t_quantile

#: Degrees of freedom a variance must have to be trusted by itself.
TRUSTED = 5
#: Rerun tolerances allowed when nothing at all is known about the noise.
UNKNOWN = 3.0


@dataclass(frozen=True)
class Rules:
    """How strict to be: the comparison's level in sigmas, and factors on the metrics' tolerances.

    ``unpaired`` treats equal seeds as different ones, for code that now draws its random numbers differently.
    """

    sigmas: float = 3.0
    effect: float = 1.0
    rerun: float = 1.0
    unpaired: bool = False


class Difference(NamedTuple):
    """after − before, its standard error and threshold in the metric's unit, and how they were found."""

    value: float
    error: float
    threshold: float
    how: str

    @property
    def beyond(self) -> bool:
        return abs(self.value) > self.threshold


class Pair(NamedTuple):
    """Two cells of one key, both with values."""

    before: ResultCell
    after: ResultCell

    @property
    def shared(self) -> list[int]:
        return sorted(self.before.values.keys() & self.after.values.keys())

    @property
    def by_seed(self) -> list[float]:
        return [self.after.values[seed] - self.before.values[seed] for seed in self.shared]

    @property
    def same_settings(self) -> bool:
        before, after = self.before, self.after
        return (before.config_hash, before.fingerprint) == (after.config_hash, after.fingerprint)

    @property
    def family(self) -> tuple[str, str, str]:
        """Cells whose noise is alike."""
        key = self.before.key
        return key.profile, key.method, key.metric


class Noise(NamedTuple):
    """Variances for small samples to borrow, by family: a high one within a side, a typical one of differences."""

    within: Mapping[tuple[str, str, str], float]
    paired: Mapping[tuple[str, str, str], float]


def typical_noise(pairs: Iterable[Pair]) -> Noise:
    """The ninth decile of the variances of values in ``pairs``, and the median of those of differences by seed."""
    within: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    paired: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for pair in pairs:
        within[pair.family] += [statistics.variance(side.values.values()) for side in pair if side.n > 1]
        if len(pair.shared) > 1:
            paired[pair.family].append(statistics.variance(pair.by_seed))
    return Noise(
        {family: _ninth_decile(found) for family, found in within.items() if found},
        {family: statistics.median(found) for family, found in paired.items()},
    )


def _ninth_decile(values: list[float]) -> float:
    return statistics.quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]


def difference(pair: Pair, noise: Noise, rules: Rules, judged: int) -> Difference:
    """The difference of one pair among ``judged`` of them."""
    metric = metrics.lookup(pair.before.key.metric)
    rerun = rules.rerun * metric.tolerance("rerun_tolerance", pair.before.mean)
    effect = rules.effect * metric.tolerance("min_effect", pair.before.mean)
    if goes_by_seed(pair, rules):
        if len(pair.shared) == 1:
            return Difference(pair.by_seed[0], NAN, rerun, "rerun")
        value, error, freedom = _paired(pair, noise)
        if all_seeds_moved(pair, rerun):
            return Difference(value, error, rerun, "every seed")
        return Difference(value, error, max(effect, _quantile(rules, judged, freedom) * error), "paired")
    value = pair.after.mean - pair.before.mean
    error, freedom = _independent(pair, noise)
    if math.isnan(error):
        return Difference(value, NAN, UNKNOWN * rerun, "noise unknown")
    return Difference(value, error, max(effect, _quantile(rules, judged, freedom) * error), "independent")


def goes_by_seed(pair: Pair, rules: Rules) -> bool:
    """Whether common seeds are compared one by one, so that others do not count."""
    return not rules.unpaired and (len(pair.shared) > 1 or (len(pair.shared) == 1 and pair.same_settings))


def all_seeds_moved(pair: Pair, rerun: float) -> bool:
    """Whether unchanged settings moved every common seed the same way by more than ``rerun``."""
    changes = pair.by_seed
    return pair.same_settings and (min(changes) > rerun or max(changes) < -rerun)


def _paired(pair: Pair, noise: Noise) -> tuple[float, float, float]:
    changes = pair.by_seed
    freedom = len(changes) - 1
    variance = _borrowed(statistics.variance(changes), freedom, noise.paired.get(pair.family))
    return statistics.fmean(changes), math.sqrt(variance / len(changes)), max(freedom, TRUSTED)


def _independent(pair: Pair, noise: Noise) -> tuple[float, float]:
    """Standard error and degrees of freedom; NaN where nothing is known about the noise."""
    parts = [(statistics.variance(side.values.values()), side.n) for side in pair if side.n > 1]
    if len(parts) == 2 and min(n for _, n in parts) > TRUSTED:
        return _welch(parts)
    freedom = sum(n - 1 for _, n in parts)
    pooled = sum((n - 1) * variance for variance, n in parts) / freedom if freedom else 0.0
    typical = noise.within.get(pair.family)
    if not freedom and typical is None:
        return NAN, NAN
    variance = _borrowed(pooled, freedom, typical)
    return math.sqrt(variance * (1 / pair.before.n + 1 / pair.after.n)), max(freedom, TRUSTED)


def _welch(parts: list[tuple[float, int]]) -> tuple[float, float]:
    squares = [variance / n for variance, n in parts]
    total = sum(squares)
    if total == 0:
        return 0.0, float(TRUSTED)
    return math.sqrt(total), total**2 / sum(s**2 / (n - 1) for s, (_, n) in zip(squares, parts, strict=True))


def _borrowed(variance: float, freedom: int, typical: float | None) -> float:
    """``variance`` filled up with the typical one to ``TRUSTED`` degrees of freedom."""
    missing = max(0, TRUSTED - freedom)
    if typical is None or not missing:
        return variance
    return (freedom * variance + missing * typical) / TRUSTED


def _quantile(rules: Rules, judged: int, freedom: float) -> float:
    """Threshold in standard errors for one of ``judged`` cells: Šidák's level, then Student's t."""
    alone = NormalDist().cdf(-rules.sigmas)
    each = -math.expm1(math.log1p(-alone) / max(judged, 1))
    return -t_quantile(each, freedom)
