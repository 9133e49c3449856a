"""The regression gate: each sabotage turns it red, honest reruns and slow machines do not."""

from __future__ import annotations

import json

import pytest

from benchmarks import baseline
from benchmarks.records import paths
from tests.helpers.results_samples import record, records, save


@pytest.fixture
def results(tmp_path):
    made = [
        one
        for name in ("gcn", "gat", "cheb")
        for method, mean in (("bp", 80.0), ("dfa", 75.0), ("shallow", 40.0))
        for one in records([mean, mean + 2], method=method, architecture=name, profile="smoke", source="stand-in")
    ]
    save(tmp_path, made)
    assert baseline.main(["write", "--results", str(tmp_path)]) == 0
    return tmp_path


def gate(results, *options):
    return baseline.main(["check", "--results", str(results), *options])


def without_values(cells):
    """The last cell as the one that three runs left without a value."""
    return [*cells[:-1], {**cells[-1], "values": {}, "statuses": {"ok": 3}}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda cells: [], "not a readable baseline"),
        (lambda cells: cells[:1], "1 of its"),
        (without_values, "0 values of 3 runs that are ok"),
        (lambda cells: [*cells[:-1], {**cells[-1], "values": {"0": 1.0}}], "1 values of 2 runs that are ok"),
        (lambda cells: [{**cell, "profile": "quick"} for cell in cells], "no cells of profile smoke"),
    ],
    ids=["none", "one of many", "no values", "a value less", "another profile"],
)
def test_a_hollow_baseline_is_refused(results, capsys, change, said):
    """Against it everything passes: the gate would be open, and say that all is well."""
    path = paths.baseline(results, "smoke")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "cells": change(content["cells"])}))
    assert gate(results) == 2
    error = capsys.readouterr().err
    assert said in error and str(path) in error and error.count("\n") == 1


def test_a_baseline_without_a_count_is_read(results):
    """Those that were written before have none."""
    path = paths.baseline(results, "smoke")
    content = json.loads(path.read_text())
    assert content.pop("count") == len(content["cells"])
    path.write_text(json.dumps(content))
    assert gate(results) == 0


def smoke(value, seed=0, **fields):
    return record(value, seed, profile="smoke", source="stand-in", **fields)


def test_gate_passes_on_the_same_records_and_on_float_noise(results, capsys):
    assert gate(results) == 0
    save(results, [smoke(75.3, method="dfa"), smoke(76.6, 1, method="dfa")])
    assert gate(results) == 0
    assert "passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sabotage", "verdict"),
    [
        ([(70.0, 0, {}), (71.0, 1, {})], "worse"),
        ([(99.0, 0, {}), (99.0, 1, {})], "better than the baseline"),  # a leaked test label
        ([(75.0, 0, {"config_hash": "new", "finished": "2026-01-01"})], "settings changed"),
        ([(75.0, 0, {"data": {"source": "stand-in", "fingerprint": "f1"}})], "data changed"),
        (
            [
                (
                    75.0,
                    0,
                    {
                        "data": {"source": "stand-in", "fingerprint": "f1"},
                        "config_hash": "z",
                        "finished": "2026-01-01",
                    },
                )
            ],
            "data changed",
        ),
        ([(None, 1, {"status": "diverged", "reason": "loss is not finite"})], "newly failed"),
    ],
)
def test_gate_turns_red(results, capsys, sabotage, verdict):
    save(results, [smoke(value, seed, method="dfa", **fields) for value, seed, fields in sabotage])
    assert gate(results) == 1
    output = capsys.readouterr().out
    assert verdict in output and "citation/gcn_cora dfa accuracy" in output
    assert "gat_cora" not in output


def test_gate_turns_red_for_a_missing_cell_and_reports_an_added_one(results, capsys):
    save(results, [smoke(50.0, method="mine")])
    assert gate(results) == 0
    assert "1 added" in capsys.readouterr().out
    for path in (results / "records").rglob("gat_cora/dfa/*.json"):
        path.unlink()
    assert gate(results) == 1
    assert "1 missing" in capsys.readouterr().out


def test_an_intended_improvement_can_be_let_through(results):
    save(results, [smoke(99.0, seed, method="dfa") for seed in (0, 1)])
    assert gate(results) == 1
    assert gate(results, "--allow-better") == 0


def test_speed_warns_relative_to_backprop_and_never_fails(results, capsys):
    def timed(seconds):
        return [
            smoke(mean + 2 * seed, seed, method=method, architecture=name, train_seconds=seconds[method])
            for name in ("gcn", "gat", "cheb")
            for method, mean in (("bp", 80.0), ("dfa", 75.0), ("shallow", 40.0))
            for seed in (0, 1)
        ]

    save(results, timed({"bp": 20.0, "dfa": 20.0, "shallow": 20.0}))  # a machine ten times slower
    assert gate(results) == 0
    assert "warning" not in capsys.readouterr().out
    save(results, timed({"bp": 2.0, "dfa": 4.0, "shallow": 2.0}))
    assert gate(results) == 0
    assert "dfa takes 2.00× its former share of backprop's time" in capsys.readouterr().out


def test_a_baseline_enshrines_no_failure(results, capsys):
    save(results, [smoke(None, 1, method="dfa", status="failed", reason="x")])
    assert baseline.main(["write", "--results", str(results)]) == 2
    assert "citation/gcn_cora dfa" in capsys.readouterr().err
