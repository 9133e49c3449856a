"""Metrics: what each number in a record means, which direction is better, and how much change matters.

The registry is the one place that knows a metric's direction, unit and precision; tables, comparisons and
the gate ask it. Two families need no entry of their own: ``valid_<name>`` is ``<name>`` on the validation
split, and ``<name>/<point>`` is ``<name>`` at one feedback point.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass

HIGHER, LOWER, NEITHER = "higher", "lower", "n/a"


@dataclass(frozen=True)
class Metric:
    """One metric.

    ``min_effect`` is the smallest change of a mean worth acting on; ``rerun_tolerance`` is how far a single run of the
    same settings and seed may move on another machine (floating-point order, not luck). Both are absolute, in the
    metric's unit, unless ``relative``: then they are fractions of the reference value, as for perplexities,
    whose scale runs from 30 to 400. Of a ``logarithmic`` metric `benchmarks.statistics` takes differences and gaps
    between logarithms; means, and differences elsewhere, are of the metric as it is.
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


_REGISTRY: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Make a metric known; a user's task that records a number of its own calls this once.

    Raises:
        ValueError: the name is taken, or the direction is none of higher, lower, n/a.
    """
    if metric.name in _REGISTRY:
        raise ValueError(f"metric {metric.name!r} is registered already; choose another name")
    if metric.better not in (HIGHER, LOWER, NEITHER):
        raise ValueError(f"metric {metric.name!r}: better is {metric.better!r}, not higher, lower or n/a")
    _REGISTRY[metric.name] = metric
    return metric


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_REGISTRY)


def lookup(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        ValueError: no such metric; the message gives the nearest registered names.
    """
    if name in _REGISTRY:
        return _REGISTRY[name]
    if "/" in name:
        base, point = name.split("/", 1)
        found = lookup(base)
        return dataclasses.replace(found, name=name, title=f"{found.title} at {point}")
    base = name.removeprefix("valid_")
    if base != name and base in _REGISTRY:
        found = _REGISTRY[base]
        return dataclasses.replace(found, name=name, title=f"validation {found.title}")
    raise ValueError(unknown(name))


def is_known(name: str) -> bool:
    """Whether `lookup` finds ``name``."""
    base = name.partition("/")[0]
    return base in _REGISTRY or base.removeprefix("valid_") in _REGISTRY


def unknown(name: str) -> str:
    """What to say of a name that `lookup` does not find: the nearest registered ones."""
    near = difflib.get_close_matches(name, _REGISTRY, n=2, cutoff=0.5) or names()[:3]
    return (
        f"unknown metric {name!r}; the nearest are {', '.join(near)}. "
        "A new one is declared with benchmarks.records.metrics.register(Metric(…))"
    )


def _accuracy(name: str, title: str, short: str = "") -> None:
    register(Metric(name, title, HIGHER, 1, "%", min_effect=0.5, rerun_tolerance=2.0, short=short))


def _cosine(name: str, title: str, better: str = HIGHER, short: str = "") -> None:
    register(Metric(name, title, better, 2, min_effect=0.02, rerun_tolerance=0.1, short=short))


def _perplexity(name: str, title: str, short: str = "") -> None:
    register(
        Metric(
            name, title, LOWER, 1, min_effect=0.01, rerun_tolerance=0.05, relative=True, logarithmic=True, short=short
        )
    )


_accuracy("accuracy", "accuracy")
_accuracy("train_accuracy", "training accuracy")
_accuracy("test_accuracy", "test accuracy")
_accuracy("knn_accuracy", "1-nearest-neighbour accuracy", "1-NN")
register(Metric("auc", "AUC", HIGHER, 4, min_effect=0.002, rerun_tolerance=0.01))
register(
    Metric("average_precision", "average precision", HIGHER, 4, min_effect=0.002, rerun_tolerance=0.01, short="AP")
)
register(Metric("log_loss", "log loss", LOWER, 4, min_effect=0.002, rerun_tolerance=0.01))
register(Metric("loss", "loss", LOWER, 4, min_effect=0.01, rerun_tolerance=0.05, relative=True))
register(Metric("train_loss", "training loss", LOWER, 4, min_effect=0.01, rerun_tolerance=0.05, relative=True))
# The mean over a run's evaluations: no quality but a fingerprint, see benchmarks/compare/reproduction.py.
register(Metric("train_loss_mean", "mean training loss of a run", NEITHER, 5, rerun_tolerance=2e-3, relative=True))
register(Metric("psnr", "PSNR", HIGHER, 2, "dB", min_effect=0.1, rerun_tolerance=0.5))
register(Metric("ssim", "SSIM", HIGHER, 3, min_effect=0.005, rerun_tolerance=0.02))
register(Metric("silhouette", "silhouette", HIGHER, 2, min_effect=0.02, rerun_tolerance=0.05))
_perplexity("valid_perplexity", "validation perplexity per token", "per token")
_perplexity("valid_perplexity_word", "validation perplexity per word", "per word")
_perplexity("test_perplexity", "test perplexity per token")
_perplexity("test_perplexity_word", "test perplexity per word")
_cosine("alignment_cosine_mean", "alignment, mean cosine", short="mean")
_cosine("alignment_cosine_std", "alignment, std of the cosine", NEITHER, short="std")
_cosine("weight_alignment_cosine", "weight-gradient alignment, cosine", short="weights")
_cosine("weight_alignment_cosine_mean", "weight-gradient alignment, mean cosine of rows", NEITHER, short="rows' mean")
_cosine("weight_alignment_cosine_std", "weight-gradient alignment, std of rows' cosine", NEITHER, short="rows' std")
for _quantile in ("05", "50", "95"):
    _cosine(f"alignment_cosine_q{_quantile}", f"alignment, {int(_quantile)}% quantile", NEITHER)
    _cosine(
        f"weight_alignment_cosine_q{_quantile}", f"weight-gradient alignment, rows' {int(_quantile)}% quantile", NEITHER
    )
_cosine("cosine_bottleneck", "cosine at the bottleneck")
_cosine("cosine_tanh1", "cosine at the first hidden layer")
_cosine("cosine_tanh3", "cosine at the third hidden layer")
