"""Statistics over seeds: paired comparisons of methods, the gap they close, and how many seeds a claim needs."""

from benchmarks.statistics.average import average
from benchmarks.statistics.bootstrap import Interval
from benchmarks.statistics.comparison import Comparison, compare
from benchmarks.statistics.estimate import Estimate, estimate, mean_of
from benchmarks.statistics.scale import Scale, scale_of
from benchmarks.statistics.seeds import MOST, seeds_for_sign, seeds_for_width

__all__ = [
    "MOST",
    "Comparison",
    "Estimate",
    "Interval",
    "Scale",
    "average",
    "compare",
    "estimate",
    "mean_of",
    "scale_of",
    "seeds_for_sign",
    "seeds_for_width",
]
