"""A metric: what a number means, which direction is better, and how much change matters."""

from __future__ import annotations

import math
from dataclasses import dataclass

HIGHER, LOWER, NEITHER = "higher", "lower", "n/a"
#: Names of the columns of a table of alignment: of activations, then of the gradients of weights.
ALIGNMENT = (
    *("alignment_cosine_mean", "alignment_cosine_std"),
    *("weight_alignment_cosine", "weight_alignment_cosine_mean", "weight_alignment_cosine_std"),
)
#: The largest cosine: rounding may lead a little beyond 1.
MOST_COSINE = 1.01
#: The largest standard deviation of cosines: of 1 and -1 it is the root of 2, since it divides by one less than n.
MOST_SPREAD = 1.43
#: How far, relative and absolute, a sum in fp32 may lead beyond a limit.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Metric:
    """One metric.

    ``min_effect`` is the smallest change of a mean worth acting on; ``rerun_tolerance`` is how far a single run of the
    same settings and seed may move on another machine (floating-point order, not luck). Both are absolute, in the
    metric's unit, unless ``relative``: then they are fractions of the reference value, as for perplexities,
    whose scale runs from 30 to 400. Of a ``logarithmic`` metric `benchmarks.statistics` takes differences and gaps
    between logarithms; means, and differences elsewhere, are of the metric as it is. By its definition
    a value lies between ``minimum`` and ``maximum``; a record with another is left out, and rejected if submitted.

    Raises:
        ValueError: the direction is none of higher, lower, n/a.
    """

    name: str
    title: str
    better: str = HIGHER
    decimals: int = 4
    unit: str = ""
    min_effect: float = 0.01
    rerun_tolerance: float = 0.05
    relative: bool = False
    logarithmic: bool = False
    short: str = ""  # for table headings; the title where it is not given
    minimum: float = -math.inf
    maximum: float = math.inf

    def __post_init__(self) -> None:
        if self.better not in (HIGHER, LOWER, NEITHER):
            raise ValueError(f"metric {self.name!r}: better is {self.better!r}, not higher, lower or n/a")

    @property
    def heading(self) -> str:
        """The name in a table's head."""
        return self.short or self.title

    @property
    def sign(self) -> int:
        """+1 where larger is better, −1 where smaller is, 0 where neither (such metrics are never judged)."""
        return {HIGHER: 1, LOWER: -1}.get(self.better, 0)

    def tolerance(self, kind: str, reference: float) -> float:
        """The tolerance ``kind`` (``min_effect`` or ``rerun_tolerance``) around the value ``reference``."""
        size: float = getattr(self, kind)
        return size * abs(reference) if self.relative else size

    def can_be(self, value: float) -> bool:
        """Whether ``value`` lies within the limits, apart from rounding, and has a logarithm if it needs one."""
        if self.logarithmic and value <= 0:
            return False
        least = self.minimum - _ROUNDING * (1 + abs(self.minimum))
        return least <= value <= self.maximum + _ROUNDING * (1 + abs(self.maximum))

    def format(self, value: float, decimals: int | None = None) -> str:
        """``value`` with the metric's decimals."""
        return f"{value:.{self.decimals if decimals is None else decimals}f}"
