"""Claims about deep nets: those of computations, and those of runs of which something is missing."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from benchmarks.records.record import Record
from benchmarks.records.run_history import History
from benchmarks.studies import convolutions, deep_nets
from benchmarks.studies.study import Done, Findings
from benchmarks.tables.claims import Verdict


def run(noise: float) -> Done:
    model = {"layers": 2, "copies": 5, "activation": "relu"}
    config = {"task": {"model": model, "label_noise": noise}, "method": {"name": "dfa"}}
    record = Record(
        "mnist/mlp_seeds", "images", "mlp_seeds", "mnist", "dfa", "quick", 1, config, "0" * 12, data={"source": "real"}
    )
    return Done(record, None)


def structure(seed: int, corner: float, gradients: float) -> dict[str, object]:
    return {"activation": "relu", "alpha": corner, "beta": corner, "seed": seed, "gradients": gradients}


def claims(runs=(), **computed):
    return list(deep_nets.STUDY.conclude(Findings("deep_nets", "quick", tuple(runs), computed)).claims)


def named(found, start: str):
    (one,) = [claim for claim in found if claim.claim.startswith(start)]
    return one


def test_data_structures_are_compared_seed_by_seed():
    """A mean of one seed more in one corner is of other weights; and where seeds disagree nothing is shown."""
    nets = [structure(0, 1.0, 0.8), structure(1, 1.0, 0.5), structure(0, 0.2, 0.5), structure(1, 0.2, 0.6)]
    one = named(claims(structure=[*nets, structure(2, 1.0, 5.0)]), "relu: correlated")
    assert (one.ours, one.n) == (pytest.approx((0.3 - 0.1) / 2), 2) and one.low < 0 < one.high
    assert one.verdict is Verdict.NOT_SHOWN


@pytest.mark.parametrize("errors", [(1e-15, math.nan), (math.nan, 1e-15)])
def test_a_linear_net_that_diverged_is_not_passed_over(errors):
    nets = [{"error": error} for error in errors]
    assert named(claims(linear_of_four=nets), "linear nets").verdict is Verdict.NOT_TESTABLE


def test_computations_are_of_no_data():
    """They stood under the data of the runs beside them."""
    found = claims([run(0.0)], structure=[structure(0, 1.0, 0.8), structure(0, 0.2, 0.5)])
    assert {one.data for one in found if "correlated" in one.claim or "linear" in one.claim} == {""}
    bound = {"sharing": "conv", "found": 0.1, "formula": 0.1, "channels": 1, "side": 5, "kernel": 3}
    told = convolutions.STUDY.conclude(Findings("convolutions", "quick", (run(0.0),), {"bounds": [bound]})).claims
    assert named(told, "a convolution layer can align").data == ""


def test_runs_whose_histories_are_gone_tell_nothing():
    """Records were copied without the files beside them."""
    found = claims([run(0.0), run(0.9)])
    assert {one.verdict for one in found} == {Verdict.NOT_TESTABLE}


def test_label_noise_is_judged_for_each_number_of_images():
    """A share of the labels is six times as many on all images; their lines would lie in one chart as well."""

    def noisy(noise: float, rows: int | None, first: float, final: float) -> Done:
        one = run(noise)
        task = {**one.record.config["task"], "rows": rows}
        record = dataclasses.replace(one.record, config={**one.record.config, "task": task})
        columns = ("epoch", deep_nets.SIGNALS, f"{deep_nets.SIGNALS}/error")
        return Done(record, History(columns, np.array([[1, first, 0.01], [50, final, 0.01]])))

    runs = [noisy(0.0, 10_000, 0.5, 0.8), noisy(0.9, 10_000, 0.01, 0.76), noisy(0.0, None, 0.6, 0.8),
            noisy(0.9, None, 0.15, 0.4)]  # fmt: skip
    found = claims(runs)
    told = {one.claim: (pytest.approx(one.ours), one.verdict) for one in found if "images" in one.claim}
    assert told == {
        "10,000 images: label noise delays alignment": (0.02, Verdict.SHOWN),
        "10,000 images: and does not lower it in the end": (0.95, Verdict.SHOWN),
        "all images: label noise delays alignment": (0.25, Verdict.NOT_SHOWN),
        "all images: and does not lower it in the end": (0.5, Verdict.NOT_SHOWN),
    }
    (chart,) = deep_nets.STUDY.conclude(Findings("deep_nets", "long", tuple(runs))).charts
    assert chart.subtitle.startswith("10,000 images") and len(chart.panels[0].series) == 2
