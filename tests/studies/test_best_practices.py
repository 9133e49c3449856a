"""Claims of best practices: what is compared must have been trained alike."""

from __future__ import annotations

import pytest

from benchmarks.records.record import Record
from benchmarks.studies import best_practices
from benchmarks.studies.study import Done, Findings
from benchmarks.tables.claims import Verdict

MODEL = {"activation": "tanh", "slope": 0.01, "batch_norm": False, "input_dropout": 0.0, "dropout": 0.0}


def run(network: str, cosine: float, rows: int | None, epochs: int) -> Done:
    method = {"name": "dfa", "scaling": "width_error"}
    config = {"task": {"model": MODEL, "rows": rows, "epochs": epochs}, "method": method}
    record = Record(
        f"cifar10/{network}", "images", network, "cifar10", "dfa", "long", 0, config, "0" * 12,
        metrics={"alignment_cosine_mean": cosine},
    )  # fmt: skip
    return Done(record, None)


@pytest.mark.parametrize(
    ("rows", "epochs", "cosine", "verdict"),
    [
        (None, 50, 0.1, Verdict.SHOWN),
        (None, 50, 0.4, Verdict.NOT_SHOWN),
        (2000, 50, 0.1, Verdict.NOT_TESTABLE),
        (None, 10, 0.1, Verdict.NOT_TESTABLE),
    ],
)
def test_networks_are_compared_that_saw_the_same_images_as_often(rows, epochs, cosine, verdict):
    """A convolutional network after a tenth of the steps has not aligned, for another reason than that it is one."""
    runs = (run("mlp", 0.3, None, 50), run("cnn", cosine, rows, epochs))
    *_, claim = best_practices.STUDY.conclude(Findings("best_practices", "long", runs)).claims
    assert "align less" in claim.claim and claim.verdict is verdict
    assert claim.ours == pytest.approx(0.3 - cosine)
