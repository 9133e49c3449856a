"""Values that a metric cannot have: the record is named and left out, and everything else is built."""

from __future__ import annotations

import json

import pytest

from benchmarks.compare.__main__ import main as compare
from benchmarks.records import metrics
from benchmarks.records.aggregation import aggregate
from benchmarks.records.baseline_file import load, write_baseline
from benchmarks.records.inputs import BadInput
from benchmarks.records.metrics import Metric
from benchmarks.report.__main__ import main as report
from benchmarks.tables.__main__ import main as tables
from tests.helpers.results_samples import record, records, save

LANGUAGE = {
    **{"domain": "language", "architecture": "transformer", "dataset": "wikitext2", "task": "wikitext2/macro"},
    "metric": "valid_perplexity",
}


@pytest.mark.parametrize("main", [tables, report])
@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_one_bad_perplexity_does_not_stop_the_tables(tmp_path, capsys, main, value):
    """Its logarithm was asked for: no table of any domain was built, and the record was not named."""
    language = [record(100.0 + seed, seed, method=method, **LANGUAGE) for method in ("bp", "dfa") for seed in (0, 1)]
    language += records([300.0, 301.0], method="shallow", **LANGUAGE)
    bad = record(value, 2, **LANGUAGE)
    results = save(tmp_path, [*records([80.0, 82.0]), *language, bad])
    assert main(["--results", str(results)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert bad.run_id in line and "valid_perplexity" in line and f"{value:g}" in line and "left out" in line
    if main is tables:
        text = (results / "tables" / "all_results.csv").read_text()
        assert ",accuracy,81,1.41421,2," in text and ",valid_perplexity,100.5,0.707107,2," in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("accuracy", 8000.0), ("accuracy", -1.0), ("valid_accuracy", 101.0), ("auc", 1.1), ("psnr", -5.0)),
        *(("alignment_cosine_mean/conv1", 2.0), ("weight_alignment_cosine_std/conv1", -0.1), ("log_loss", -1.0)),
    ],
)
def test_a_record_that_cannot_be_true_is_left_out_whole(name, value):
    """Tables showed it as it was, and a mean over seeds with it."""
    odd = record(seed=1, metrics={"accuracy": 99.0, name: value})
    bad: list[str] = []
    (cell,) = aggregate([record(80.0), odd], lambda error: bad.append(str(error))).cells
    assert cell.values == {0: 80.0}
    (line,) = bad
    assert line.startswith(f"record {odd.run_id}: {name} is {value:g}, ")
    with pytest.raises(BadInput, match=odd.run_id):
        aggregate([odd])


@pytest.mark.parametrize("value", [0.0, 100.0, 100.0001, -1e-6])
def test_a_limit_and_what_rounding_adds_are_possible(value):
    (cell,) = aggregate([record(value)]).cells
    assert cell.values == {0: value}


def test_a_huge_value_is_that_of_a_divergence():
    """Such a run counts as one that diverged, as before; it is not an error of its file."""
    (cell,) = aggregate([record(1e200)]).cells
    assert cell.statuses == {"diverged": 1}


def test_a_value_without_a_logarithm_is_impossible_whatever_the_limits(monkeypatch):
    """A metric of a user's own may have no limits."""
    monkeypatch.setitem(metrics._REGISTRY, "spread", Metric("spread", "spread", logarithmic=True))
    assert "which has no logarithm" in metrics.impossible("spread", 0.0)
    assert metrics.impossible("spread", 1e-9) == "" == metrics.impossible("unheard_of", -1.0)


def test_a_baseline_with_such_a_value_is_refused(tmp_path, capsys):
    """It is read whole or not at all; against 8000 percent nothing could be better."""
    path = tmp_path / "b.json"
    write_baseline(aggregate(records([80.0, 81.0])).cells, path)
    content = json.loads(path.read_text())
    content["cells"][0]["values"]["1"] = 8000.0
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="accuracy is 8000, and it lies from 0 to 100"):
        load(path)
    assert compare([str(path), str(path)]) == 2 and capsys.readouterr().err.count("\n") == 1
