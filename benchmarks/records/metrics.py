"""Metrics by name: what each number in a record means, which direction is better, and how much change matters.

The registry is the one place that knows a metric's direction, unit and precision; tables, comparisons and
the gate ask it. A domain brings its own metrics along in its catalogue; here are those of them all. Two families need
no entry of their own: ``valid_<name>`` is ``<name>`` on the validation split, and ``<name>/<point>`` is ``<name>`` at
one feedback point.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections import ChainMap
from collections.abc import Mapping
from functools import cache
from typing import Any

from benchmarks.catalogue.discovery import domains
from benchmarks.catalogue.metric import HIGHER, LOWER, MOST_COSINE, MOST_SPREAD, NEITHER, Metric

#: The mean over a run's history, which a baseline has beside what is in the record.
MEAN_LOSS = "train_loss_mean"

#: Metrics that are no domain's own, and those that a user's task has registered.
_REGISTRY: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Make a metric known; a user's task that records a number of its own calls this once.

    Raises:
        ValueError: the name is taken.
    """
    if metric.name in _known():
        raise ValueError(f"metric {metric.name!r} is registered already; choose another name")
    _REGISTRY[metric.name] = metric
    return metric


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_known())


def lookup(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        ValueError: no such metric; the message gives the nearest registered names.
    """
    known = _known()
    if name in known:
        return known[name]
    if "/" in name:
        base, point = name.split("/", 1)
        found = lookup(base)
        return dataclasses.replace(found, name=name, title=f"{found.title} at {point}")
    base = name.removeprefix("valid_")
    if base != name and base in known:
        found = known[base]
        return dataclasses.replace(found, name=name, title=f"validation {found.title}")
    raise ValueError(unknown(name))


def is_known(name: str) -> bool:
    """Whether `lookup` finds ``name``."""
    return _base(name) is not None


def impossible(name: str, value: float) -> str:
    """Why the metric ``name`` cannot be ``value``, in half a line; "" if it can, or if the metric is not known."""
    metric = _base(name)
    if metric is None or metric.can_be(value):
        return ""
    if metric.logarithmic and value <= 0:
        return f"{name} is {value:g}, which has no logarithm"
    return f"{name} is {value:g}, and it lies from {metric.minimum:g} to {metric.maximum:g}"


def _base(name: str) -> Metric | None:
    """The registered metric that ``name`` is, or is on the validation split, or at a feedback point."""
    known = _known()
    base = name.partition("/")[0]
    return known.get(base) or known.get(base.removeprefix("valid_"))


def unknown(name: str) -> str:
    """The message about a name that `lookup` does not find, with the nearest registered ones."""
    near = difflib.get_close_matches(name, _known(), n=2, cutoff=0.5) or names()[:3]
    return (
        f"unknown metric {name!r}; the nearest are {', '.join(near)}. "
        "A new one is declared with benchmarks.records.metrics.register(Metric(…))"
    )


def _known() -> Mapping[str, Metric]:
    return ChainMap(_REGISTRY, _of_domains())


@cache
def _of_domains() -> dict[str, Metric]:
    return {metric.name: metric for domain in domains().values() for metric in domain.metrics}


def _add(name: str, title: str, better: str = HIGHER, decimals: int = 4, **more: Any) -> None:
    _REGISTRY[name] = Metric(name, title, better, decimals, **more)


def _cosine(name: str, title: str, better: str = HIGHER, short: str = "") -> None:
    least, most = (0.0, MOST_SPREAD) if name.endswith("_std") else (-MOST_COSINE, MOST_COSINE)
    _add(name, title, better, 2, min_effect=0.02, rerun_tolerance=0.1, short=short, minimum=least, maximum=most)


for _name, _title in (("accuracy", "accuracy"), ("train_accuracy", "training accuracy"),
                      ("test_accuracy", "test accuracy")):  # fmt: skip
    _add(_name, _title, decimals=1, unit="%", min_effect=0.5, rerun_tolerance=2.0, minimum=0.0, maximum=100.0)
_add("auc", "AUC", min_effect=0.002, rerun_tolerance=0.01, minimum=0.0, maximum=1.0)
_add("loss", "loss", LOWER, relative=True)
_add("train_loss", "training loss", LOWER, relative=True)
# The mean over a run's evaluations: no quality but a fingerprint, see benchmarks/compare/reproduction.py.
_add(MEAN_LOSS, "mean training loss of a run", NEITHER, 5, rerun_tolerance=2e-3, relative=True)
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
