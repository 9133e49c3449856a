"""Cells against hand-computed means, and what must never be mixed, dropped or double-counted."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.records.aggregation import aggregate
from benchmarks.records.baseline_file import load, read_baseline, write_baseline
from benchmarks.records.metrics import Metric, lookup, register
from benchmarks.records.record import write_record
from tests.helpers.results_samples import hash_of, record, records, save


def only(made):
    (cell,) = aggregate(made).cells
    return cell


def test_mean_and_sample_std_by_hand():
    cell = only(records([79.0, 80.0, 82.0]))
    assert cell.mean == pytest.approx(241 / 3)
    # deviations −4/3, −1/3, 5/3: squares 42/9, divided by n − 1 = 2
    assert cell.std == pytest.approx(math.sqrt(42 / 18))
    assert (cell.n, cell.values) == (3, {0: 79.0, 1: 80.0, 2: 82.0})


def test_one_run_has_no_std_and_none_has_no_mean():
    assert math.isnan(only([record(80.0)]).std)
    failed = only([record(None, status="failed", reason="out of memory")])
    assert math.isnan(failed.mean) and failed.statuses == {"failed": 1} and failed.reason == "out of memory"


def test_bad_runs_are_counted_and_stay_out_of_the_mean():
    made = [
        *records([80.0, 81.0]),
        record(5.0, 2, status="diverged"),
        record(float("nan"), 3),
        record(1e200, 4),
    ]
    cell = only(made)
    assert (cell.mean, cell.n, cell.runs) == (80.5, 2, 5)
    assert cell.statuses == {"ok": 2, "diverged": 3}


def test_a_metric_that_an_older_run_did_not_record_is_not_called_infinite():
    made = records([80.0, 81.0])
    made[1].metrics["silhouette"] = 0.5
    (cell,) = [one for one in aggregate(made).cells if one.key.metric == "silhouette"]
    assert cell.values == {1: 0.5} and cell.reason == "silhouette was not recorded"
    made[0].metrics["silhouette"] = 1e300
    (cell,) = [one for one in aggregate(made).cells if one.key.metric == "silhouette"]
    assert cell.values == {1: 0.5} and cell.reason == "silhouette is not finite, or huge"


def test_former_settings_are_stale_and_never_mixed():
    old = records([10.0, 20.0], config_hash="old", finished="2025-01-01")
    new = records([80.0], config_hash="new", finished="2025-02-01")
    found = aggregate(old + new)
    assert [cell.mean for cell in found.cells] == [80.0]
    assert [(stale.config_hash, stale.newest_hash, stale.runs) for stale in found.stale] == [
        (hash_of("old"), hash_of("new"), 2)
    ]


def test_newer_settings_count_once_a_run_of_theirs_came_to_an_end():
    """Else one failed try would take ten good runs out of the tables, or a divergence hide behind former settings."""
    good = records([80.0, 81.0], config_hash="old", finished="2025-01-01")
    failed = record(None, config_hash="new", finished="2025-02-01", status="failed", reason="no file")
    found = aggregate([*good, failed])
    assert [cell.mean for cell in found.cells] == [80.5]
    assert [(stale.config_hash, stale.newest_hash, stale.runs) for stale in found.stale] == [
        (hash_of("new"), hash_of("old"), 1)
    ]
    older = record(None, config_hash="older", finished="2024-01-01", status="failed", reason="no memory")
    assert only([older, failed]).reason == "no file"
    diverged = record(None, 1, config_hash="new", finished="2025-02-01", status="diverged", reason="not finite")
    cell = only([*good, failed, diverged])
    assert (cell.n, cell.runs, cell.config_hash) == (0, 2, hash_of("new"))


def primaries(made):
    """The metric that each (profile, method, data source) is judged by, without the variants."""
    return {
        (one.key.profile, one.key.method, one.key.data_source): one.key.metric
        for one in aggregate(made).cells
        if one.primary and not one.key.variant
    }


SCORES = {"accuracy": 80.0, "valid_accuracy": 70.0}


@pytest.mark.parametrize(
    "odd",
    [
        {"config_hash": "old", "finished": "2020-01-01T00:00:00+00:00"},
        {"config_hash": "new", "finished": "2026-01-01T00:00:00+00:00", "status": "failed", "reason": "no memory"},
        {"profile": "quick"},
        {"source": "stand-in"},
        {"variant": "task.metric=valid_accuracy", "config_hash": "variant"},
    ],
    ids=["stale", "failed", "another profile", "another source", "variant"],
)
@pytest.mark.parametrize("place", [0, 3], ids=["read first", "read last"])
def test_a_run_that_does_not_count_does_not_say_by_what_a_task_is_judged(odd, place):
    """One such record turned every cell of its task, and the headline, into those of another metric."""
    made = [record(method=method, metrics=dict(SCORES)) for method in ("bp", "dfa", "shallow")]
    expected = {("paper", method, "real"): "accuracy" for method in ("bp", "dfa", "shallow")}
    other = record(method="shallow", seed=9, metric="valid_accuracy", metrics=dict(SCORES), **odd)
    found = primaries([*made[:place], other, *made[place:]])
    assert expected.items() <= found.items()
    assert {name: metric for name, metric in found.items() if name not in expected} == (
        {(odd.get("profile", "paper"), "shallow", odd.get("source", "real")): "valid_accuracy"}
        if {"profile", "source"} & odd.keys()
        else {}
    )


def test_one_metric_judges_all_methods_of_a_task():
    """That of the newest run that counts, in whatever order they are read; a failure before it does not say."""
    old = record(method="bp", metrics=dict(SCORES), finished="2025-01-01")
    new = record(method="dfa", metric="valid_accuracy", metrics=dict(SCORES), finished="2025-02-01")
    failed = record(None, method="fa", finished="2025-03-01", status="failed", reason="no file")
    expected = {("paper", method, "real"): "valid_accuracy" for method in ("bp", "dfa", "fa")}
    assert primaries([old, new, failed]) == primaries([failed, new, old]) == expected


def test_variants_and_data_sources_are_cells_of_their_own():
    made = [record(80.0), record(70.0, source="stand-in"), record(60.0, variant="task.optim.lr=1")]
    assert sorted(cell.mean for cell in aggregate(made).cells) == [60.0, 70.0, 80.0]


def test_a_run_that_failed_before_its_data_stays_with_its_siblings():
    cell = only([record(80.0), record(None, 1, source="", status="failed", reason="no file")])
    assert (cell.key.data_source, cell.n, cell.runs) == ("real", 1, 2)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_order_of_records_does_not_matter(values: list[float], shuffler: random.Random):
    made = records(values)
    before = only(made)
    shuffler.shuffle(made)
    assert only(made) == before
    assert before.std == pytest.approx(statistics.stdev(values))


def test_baseline_keeps_cells_exactly(tmp_path):
    cells = aggregate([*records([79.1, 80.3]), record(None, 2, status="diverged")]).cells
    write_baseline(cells, tmp_path / "b.json")
    (cell,), (back,) = cells, read_baseline(tmp_path / "b.json")
    assert back == cell


def test_places_agree_and_local_records_win_over_packs(tmp_path):
    from benchmarks.records.packs import pack

    pack(records([1.0, 2.0]), tmp_path / "evidence" / "old.jsonl.gz")
    save(tmp_path, records([80.0]))
    (cell,) = load(tmp_path).cells
    assert cell.values == {0: 80.0, 1: 2.0}
    assert load(tmp_path / "evidence" / "old.jsonl.gz").cells[0].values == {0: 1.0, 1: 2.0}
    assert load(tmp_path / "records").cells[0].values == {0: 80.0}


def test_unknown_metric_names_the_nearest(tmp_path):
    with pytest.raises(ValueError, match=r"seed0-\w+: unknown metric 'acuracy'; the nearest are accuracy"):
        aggregate([record(80.0, metric="acuracy")])


def test_derived_metrics_inherit_direction_and_new_ones_register_once():
    assert lookup("valid_accuracy").sign == 1 and lookup("valid_log_loss").sign == -1
    assert lookup("alignment_cosine_mean/conv1").decimals == 2
    with pytest.raises(ValueError, match="registered already"):
        register(Metric("accuracy", "accuracy"))
    with pytest.raises(ValueError, match="not higher, lower or n/a"):
        register(Metric("speed", "speed", better="up"))


def test_skipped_runs_are_no_failures(tmp_path):
    write_record(record(None, status="skipped", reason="FM has no hidden layer"), tmp_path)
    (cell,) = load(tmp_path).cells
    assert cell.skipped and cell.runs == 0
