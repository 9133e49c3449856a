"""Scales: on which axis differences of a metric are taken.

A metric is compared as it is, or by its logarithm if it says so, as perplexities do. A perplexity is the exponential
of the loss per token: its differences at 400 and at 30 mean different things, and an arithmetic mean over seeds follows
the worst one. In nats a gap closed is that of the cross-entropy, and a ratio of 1.01 is .01 whatever the level.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.catalogue.metric import Metric
from benchmarks.records import metrics


@dataclass(frozen=True)
class Scale:
    """How the values of one metric are compared."""

    metric: Metric

    @property
    def logarithmic(self) -> bool:
        return self.metric.logarithmic

    def of(self, values: Iterable[float]) -> np.ndarray:
        """``values`` on this scale.

        Raises:
            ValueError: the logarithm of a value that is not positive.
        """
        found = np.fromiter(values, dtype=float)
        if not self.logarithmic:
            return found
        if (found <= 0).any():
            raise ValueError(f"{self.metric.name} is {found.min():g}, which has no logarithm; run it again")
        return np.log(found)

    def effect(self, reference: float) -> float:
        """The smallest difference that matters, around ``reference`` (in the metric's unit)."""
        # A small relative change of a perplexity is the same number in nats.
        return self.metric.min_effect if self.logarithmic else self.metric.tolerance("min_effect", reference)

    def difference(self, value: float) -> str:
        """A difference as text, with its sign; three decimals and more go without the leading 0."""
        decimals = 3 if self.logarithmic else self.metric.decimals
        text = f"{value:+.{decimals}f}".replace("-", "−")
        return text.replace("0.", ".", 1) if decimals > 2 and abs(value) < 1 else text


def scale_of(name: str) -> Scale:
    """The scale of the metric called ``name``."""
    return Scale(metrics.lookup(name))
