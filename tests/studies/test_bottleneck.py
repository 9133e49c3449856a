"""The bottleneck's general claims: seed by seed, and of the whole range of widths."""

from __future__ import annotations

import math

import pytest

from benchmarks.records.record import Record
from benchmarks.studies import bottleneck
from benchmarks.studies.study import Done, Findings
from benchmarks.tables.claims import Verdict

#: Cosines at the bottleneck and above it, by width and seed.
COSINES = {
    (1, 0): (0.1, 0.4), (1, 1): (0.2, 0.4), (1, 2): (0.0, 0.5),
    (28, 0): (0.5, 0.5),
    (800, 0): (0.9, 0.6), (800, 1): (0.9, 0.7), (800, 2): (0.8, 0.8),
}  # fmt: skip


def run(width: int, seed: int) -> Done:
    model = {"kept_gradient": width / 800, "initial": "uniform", "feedback_below_middle": False, "width": 256}
    config = {"task": {"model": model}, "method": {"name": "dfa"}}
    points = {f"hidden.{layer}.point": {"mean": mean} for layer, mean in zip((1, 2), COSINES[width, seed], strict=True)}
    record = Record(
        "cifar10/mlp", "images", "mlp", "cifar10", "dfa", "long", seed, config, "0" * 12,
        metrics={"train_accuracy": width}, alignment={"points": points}, data={"source": "real"},
    )  # fmt: skip
    return Done(record, None)


def claims(*cells: tuple[int, int]):
    findings = Findings("bottleneck", "long", tuple(run(*cell) for cell in cells))
    return {one.quantity.split(",")[0]: one for one in bottleneck.STUDY.conclude(findings).claims}


def test_widths_are_compared_seed_by_seed_with_an_interval():
    """The mean over three seeds was shown as the number of one."""
    found = claims(*COSINES)
    rise, less = found["cosine"], found["rise of the cosine at the bottleneck − above it"]
    assert (rise.ours, rise.n) == (pytest.approx((0.8 + 0.7 + 0.8) / 3), 3)
    assert rise.low == pytest.approx(0.7) and rise.high == pytest.approx(0.8)
    assert (less.ours, less.n) == (pytest.approx((0.6 + 0.4 + 0.5) / 3), 3)


def test_seeds_that_one_width_lacks_have_no_say():
    rise = claims(*(cell for cell in COSINES if cell != (1, 0)))["cosine"]
    assert (rise.ours, rise.n) == (pytest.approx((0.7 + 0.8) / 2), 2)


def test_a_range_that_ends_below_the_whole_layer_tells_nothing():
    """A study that was stopped: from b = 1 to 28 the cosine rises by less than a bottleneck's claim is about."""
    rise = claims((1, 0), (28, 0))["cosine"]
    assert rise.verdict is Verdict.NOT_TESTABLE and math.isnan(rise.ours)
