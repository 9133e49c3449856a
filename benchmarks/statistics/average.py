"""Means of comparisons over tasks: an architecture over its datasets, a domain over its architectures."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.statistics.comparison import Comparison
from benchmarks.statistics.estimate import Estimate, mean_of


def average(parts: Sequence[Comparison], architecture: str) -> Comparison:
    """The mean of ``parts`` (one method each time, at least one part), every part with the same weight.

    Gaps closed are fractions and are averaged whatever the metrics, over the parts that have one (``gap.tasks``
    says how many). A minority of the tasks does not speak for all: then there is none. Values and differences need
    one metric, and values a number in every part.
    """
    one_metric = len({part.metric for part in parts}) == 1
    tasks = sum(part.tasks for part in parts)
    gaps = [part.gap for part in parts if part.gap]
    found = sum(gap.tasks for gap in gaps)
    speaks = 2 * found > tasks
    return Comparison(
        domain=parts[0].domain,
        architecture=architecture,
        dataset="",
        method=parts[0].method,
        metric=parts[0].metric if one_metric else "",
        bp=_of_all([part.bp for part in parts], one_metric),
        score=_of_all([part.score for part in parts], one_metric),
        shallow=_of_all([part.shallow for part in parts], one_metric),
        difference=mean_of([part.difference for part in parts if part.difference]) if one_metric else None,
        gap=mean_of(gaps) if speaks else None,
        room=_of_all([part.room for part in parts], one_metric),
        tasks=tasks,
        remarks=() if speaks else (f"no mean gap: {found} of {tasks} tasks have one",),
    )


def _of_all(found: Sequence[Estimate | None], one_metric: bool) -> Estimate | None:
    known = [one for one in found if one]
    return mean_of(known) if one_metric and len(known) == len(found) else None
