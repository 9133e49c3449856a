"""What studies conclude from: selecting runs, means with intervals, verdicts, the file of claims."""

from __future__ import annotations

import dataclasses
import math

import pytest

from benchmarks.records.inputs import BadInput
from benchmarks.records.record import Record
from benchmarks.studies import verdicts
from benchmarks.studies.study import Done, Findings, Measured, measured
from benchmarks.tables.claims import Claim, Verdict, claims_text, read_claims


def run(seed: int, accuracy: float, width: int = 8, method: str = "dfa", source: str = "real") -> Done:
    config = {"task": {"model": {"width": width}}, "method": {"name": method}}
    record = Record(
        "mnist/mlp", "images", "mlp", "mnist", method, "quick", seed, config, "0" * 12, metrics={"accuracy": accuracy},
        data={"source": source},
    )  # fmt: skip
    return Done(record, None)


FINDINGS = Findings("toy", "quick", tuple(run(seed, 90.0 + seed, width) for seed in range(3) for width in (8, 16)))


def accuracy(one: Done) -> float:
    return one.metric("accuracy")


def test_runs_are_chosen_by_their_settings():
    assert len(FINDINGS.where(task__model__width=8)) == 3 and FINDINGS.values("task.model.width") == [8, 16]
    assert len(FINDINGS.where(task__model__width=8.0, method__name="dfa")) == 3
    assert not len(FINDINGS.where(task__model__depth=8))
    assert len(FINDINGS.of_task("mnist/mlp")) == 6 and not len(FINDINGS.of_task("mnist/cnn"))


def test_a_mean_has_an_interval_over_its_seeds():
    found = FINDINGS.where(task__model__width=8).over_seeds(accuracy)
    assert found.mean == pytest.approx(91) and found.low < 91 < found.high and found.n == 3
    alone = measured([5.0])
    assert alone.mean == 5 and math.isnan(alone.low) and alone.n == 1
    assert math.isnan(measured([]).mean) and measured([math.nan, 1.0]).n == 1


def test_a_difference_is_taken_seed_by_seed():
    other = Findings("toy", "quick", tuple(run(seed, 80.0 + seed) for seed in (1, 2, 7)))
    found = verdicts.differences(FINDINGS.where(task__model__width=8), other, accuracy)
    assert found == Measured(10.0, 10.0, 10.0, 2)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (Measured(1.0, 0.5, 1.5, 3), True),
        (Measured(1.0, -0.1, 2.1, 3), False),
        (Measured(1.0, math.nan, math.nan, 1), True),
        (Measured(math.nan, math.nan, math.nan, 0), None),
    ],
)
def test_a_bound_must_lie_outside_the_interval(found, shown):
    """A mean above the bound with an interval across it shows nothing; without a number there is no verdict."""
    assert verdicts.above(found, 0) is shown
    flipped = Measured(-found.mean, -found.high, -found.low, found.n)
    assert verdicts.below(flipped, 0) is shown


def test_near_is_within_the_tolerance():
    assert verdicts.near(verdicts.single(0.53), 0.5, 0.05) and not verdicts.near(verdicts.single(0.56), 0.5, 0.05)
    assert verdicts.near(verdicts.single(math.nan), 0.5, 0.05) is None


def test_what_a_run_does_not_have_is_not_a_number():
    assert math.isnan(run(0, 1.0).metric("loss")) and math.isnan(run(0, 1.0).alignment("point"))
    assert len(run(0, 1.0).column("step")) == 0


CLAIM = Claim("toy", "a, claim", "q", 1.25, math.nan, math.nan, "> 1", Verdict.SHOWN, 1, "quick", "real")


def test_claims_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "studies.csv"
    others = [dataclasses.replace(CLAIM, verdict=verdict, low=1.0, high=2.0) for verdict in Verdict]
    path.write_text(claims_text([CLAIM, *others]))
    found = read_claims(path)
    assert [str(one) for one in found] == [str(one) for one in (CLAIM, *others)]
    assert read_claims(tmp_path / "absent.csv") == []


@pytest.mark.parametrize("text", ["study,claim\na,b\n", claims_text([CLAIM]).replace("shown", "perhaps"), "\xff\xfe"])
def test_another_file_is_one_line(tmp_path, text):
    path = tmp_path / "studies.csv"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(BadInput, match=r"studies\.csv.*not a readable file of claims"):
        read_claims(path)
