"""What a stranger hands in: numbers that no run could have, and runs without numbers, are rejected."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.records.record import hash_config
from benchmarks.settings.neutral import without_neutral
from tests.helpers.results_samples import record
from tests.submit.test_check import found, rerun


@pytest.fixture
def sound(monkeypatch):
    """Three seeds of bp, dfa and shallow, made by hand, in which nothing is wrong."""
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda one: None)
    return [
        with_settings(record(70.0 + seed, seed, method=name)) for name in ("bp", "dfa", "shallow") for seed in range(3)
    ]


def with_settings(made):
    """``made`` with settings that say the same as its fields, and their hash."""
    task = {
        "architecture": made.architecture,
        "dataset": made.dataset,
        "metric": made.primary_metric,
        "optim": {},
        "model": {},
    }
    config = {"task": task, "method": {"name": made.method}, "data": made.data}
    return dataclasses.replace(made, config=config, config_hash=hash_config(without_neutral(config)))


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        *(("accuracy", value) for value in (200.0, -5.0, 1e300, 100.1)),
        *(("valid_accuracy", 101.0), ("knn_accuracy", -1.0), ("silhouette", 1.5), ("auc", 1.2), ("ssim", 2.0)),
        *(("average_precision", -0.1), ("log_loss", -0.1), ("psnr", 1e300), ("valid_perplexity", 0.9)),
        *(("alignment_cosine_mean", 1.1), ("weight_alignment_cosine_std", -0.1), ("accuracy/layers.0", 200.0)),
    ],
)
@pytest.mark.parametrize("status", ["ok", "diverged"])
def test_a_value_that_a_metric_cannot_have_is_rejected(sound, tmp_path, metric, value, status):
    bad = dataclasses.replace(sound[3], status=status, metrics={"accuracy": 75.0, metric: value})
    (said,) = found(tmp_path, [*sound[:3], bad, *sound[4:]])
    assert said.startswith(f"{bad.run_id}: {metric} is {value:g}, and it lies from ")


def test_the_limits_of_a_metric_are_values_that_it_can_have(sound, tmp_path):
    """Rounding may lead a little beyond; a perplexity and a log loss have no upper limit."""
    values = {"accuracy": 100.00000000000001, "silhouette": -1.0, "log_loss": 4.2e9, "valid_perplexity": 1e42}
    fine = dataclasses.replace(sound[3], metrics={**values, "weight_alignment_cosine": 1.0000000114774075, "auc": 0.0})
    assert found(tmp_path, [*sound[:3], fine, *sound[4:]]) == []


def test_a_metric_that_no_catalogue_has_is_rejected(sound, tmp_path):
    beside = dataclasses.replace(sound[3], metrics={"accuracy": 75.0, "brilliance": 1.0})
    (said,) = found(tmp_path, [*sound[:3], beside, *sound[4:]])
    assert said.startswith(f"{beside.run_id}: unknown metric 'brilliance'")
    primary = with_settings(dataclasses.replace(sound[3], primary_metric="brilliance", metrics={"brilliance": 1.0}))
    (said,) = found(tmp_path, [*sound[:3], primary, *sound[4:]])
    assert said.startswith(f"{primary.run_id}: unknown metric 'brilliance'")


def test_a_value_that_tables_count_as_diverged_is_rejected(sound, tmp_path):
    """Tables count an `ok` run of such a perplexity as diverged; its status says otherwise."""
    huge = with_settings(dataclasses.replace(sound[3], primary_metric="log_loss", metrics={"log_loss": 1e60}))
    assert found(tmp_path, [*sound[:3], huge, *sound[4:]]) == [f"{huge.run_id}: it is ok, and its log_loss 1e+60"]


def diverged(records, *which):
    """``records`` where those of the methods and seeds ``which`` diverged."""
    return [
        dataclasses.replace(one, status="diverged", metrics={}) if (one.method, one.seed) in which else one
        for one in records
    ]


def test_runs_that_all_diverged_are_rejected(sound, tmp_path):
    """There is no number that the table could show, and none that could be repeated."""
    none_left = diverged(sound, *(("dfa", seed) for seed in range(3)))
    assert found(tmp_path, none_left) == ["all runs of dfa diverged: there is no number to put into a table"]
    assert found(tmp_path, diverged(sound, ("dfa", 0))) == []  # the table says 2/3 ok


@pytest.mark.parametrize("method", ["bp", "shallow"])
def test_what_a_method_is_compared_with_has_numbers(sound, tmp_path, method):
    problems = found(tmp_path, diverged(sound, (method, 1)))
    assert problems == ["citation/gcn_cora: 2 seed(s) of dfa in common with bp and shallow, not 3"]


@pytest.mark.parametrize(("claimed", "comes_out"), [("diverged", "ok"), ("ok", "diverged")])
def test_how_a_run_ended_is_repeated(sound, tmp_path, monkeypatch, claimed, comes_out):
    """A bad run called diverged raises the mean of the others; one that diverged may have its best weights' metric."""
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda one: one.config_hash)
    monkeypatch.setattr("benchmarks.submit.planned.Run.plan", lambda choices: choices)
    monkeypatch.setattr("benchmarks.submit.planned.cost", lambda one: 1.0)
    again = dict.fromkeys(("bp", "dfa", "shallow"), dataclasses.replace(sound[0], status=comes_out))
    monkeypatch.setattr("benchmarks.submit.repeat.execute", lambda choices: again[choices[1].removeprefix("method=")])
    again |= {"bp": sound[0], "shallow": sound[6]}
    own = dataclasses.replace(sound[3], status=claimed)
    (said,) = rerun([*sound[:3], own, *sound[6:]], 1, tmp_path)
    assert said == f"{own.run_id}: it is {claimed} in the pack and {comes_out} when it is run here"


def test_of_runs_that_diverged_one_is_repeated_beside_one_that_did_not(sound, tmp_path, monkeypatch):
    """The shortest is one that did not: a longer one that is called diverged would never be looked at."""
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda one: one.config_hash)
    monkeypatch.setattr("benchmarks.submit.planned.Run.plan", lambda choices: choices)
    monkeypatch.setattr("benchmarks.submit.planned.cost", lambda one: 1.0)
    monkeypatch.setattr("benchmarks.submit.repeat.execute", lambda choices: sound[3])
    said = rerun(diverged(sound[3:6], ("dfa", 2)), 1, tmp_path)
    assert said == [f"{sound[5].run_id}: it is diverged in the pack and ok when it is run here"]
