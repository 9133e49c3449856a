"""Places that results are read from: a results folder is one, also where it has no runs of its own."""

from __future__ import annotations

import pytest

from benchmarks import evidence
from benchmarks.compare.__main__ import main as compare
from benchmarks.records.baseline_file import load
from tests.helpers.results_samples import record, records, save


def other(folder):
    """Results to be compared with."""
    return str(save(folder / "other", records([80.0, 81.0])))


@pytest.mark.parametrize("part", ["published", "studies", "tables", "figures", "computed", "work"])
def test_a_results_folder_without_runs_says_so_in_one_line(tmp_path, capsys, part):
    """A fresh clone was walked as a records folder: its baseline was called a damaged record, to be moved away."""
    results = tmp_path / "results"
    folder = results / part / "baselines"
    folder.mkdir(parents=True)
    (folder / "smoke.json").write_text('{"schema": 1, "cells": []}')
    assert compare([str(results), other(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {results}: no readable record in this folder") and error.count("\n") == 1


def test_runs_of_a_study_are_none_of_the_suite(tmp_path, capsys):
    """They were compared as if they were those of the tasks as shipped."""
    results = tmp_path / "results"
    study = save(results / "studies" / "bottleneck", records([80.0, 81.0]))
    assert compare([str(results), other(tmp_path)]) == 2 and capsys.readouterr().err.count("\n") == 1
    for place in (study, study / "records"):
        assert len(load(place).cells) == 1 and compare([str(place), other(tmp_path)]) == 0
    save(results, [record(70.0)])
    assert load(results).cells[0].values == {0: 70.0}


def test_a_results_folder_is_not_packed_as_a_records_folder(tmp_path, capsys):
    """The runs of its studies would be packed with those of the tasks."""
    results = save(tmp_path / "results", [record(80.0)])
    save(results / "studies" / "bottleneck", records([1.0, 2.0], method="dfa"))
    pack = tmp_path / "p.jsonl"
    assert evidence.main(["pack", str(pack), "--records", str(results)]) == 2
    error = capsys.readouterr().err
    assert str(results / "records") in error and error.count("\n") == 1 and not pack.exists()
    assert evidence.main(["pack", str(pack), "--records", str(results / "records")]) == 0
    assert load(pack).cells[0].values == {0: 80.0}
