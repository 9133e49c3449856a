"""A metric: what a number means, which direction is better, and how much change matters."""

from __future__ import annotations

from dataclasses import dataclass

HIGHER, LOWER, NEITHER = "higher", "lower", "n/a"
#: Names of the columns of a table of alignment: of activations, then of the gradients of weights.
ALIGNMENT = (
    *("alignment_cosine_mean", "alignment_cosine_std"),
    *("weight_alignment_cosine", "weight_alignment_cosine_mean", "weight_alignment_cosine_std"),
)


@dataclass(frozen=True)
class Metric:
    """One metric.

    ``min_effect`` is the smallest change of a mean worth acting on; ``rerun_tolerance`` is how far a single run of the
    same settings and seed may move on another machine (floating-point order, not luck). Both are absolute, in the
    metric's unit, unless ``relative``: then they are fractions of the reference value, as for perplexities,
    whose scale runs from 30 to 400. Of a ``logarithmic`` metric `benchmarks.statistics` takes differences and gaps
    between logarithms; means, and differences elsewhere, are of the metric as it is.

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

    def format(self, value: float, decimals: int | None = None) -> str:
        """``value`` with the metric's decimals."""
        return f"{value:.{self.decimals if decimals is None else decimals}f}"
