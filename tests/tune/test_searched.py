"""A search whose winners ship: what it may have of its own."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from benchmarks.terminal.errors import UsageError
from benchmarks.tune import searched
from benchmarks.tune.ranking import Ranking, Result
from benchmarks.tune.search import Search, Trial
from benchmarks.tune.searched import _settings, check
from benchmarks.tune.space import load
from tests.records.meanwhile import both_rewrite


def _search(*overrides):
    return Search("citation/gcn_cora", ("fa",), load("methods"), 1, 0, "quick", (0,), overrides)


def test_an_entry_says_all_that_was_searched():
    """Also where nothing better than what ships was found: that may change, and with it the method's rate."""
    search = dataclasses.replace(_search("task.epochs=2"), task="citation/gcn_citeseer")
    ships = Result(Trial("fa", 0, {}, "valid_accuracy", ()), "ok", 0.5)
    assert _settings(search, "fa", ships) == {"task.optim.lr": 0.01}
    found = Result(Trial("fa", 1, {"task.optim.lr": 0.3}, "valid_accuracy", ()), "ok", 0.5)
    assert _settings(search, "fa", found) == {"task.optim.lr": 0.3}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The file of settings that were found, which is not there yet."""
    path = tmp_path / "quick.yaml"
    monkeypatch.setattr("benchmarks.settings.searched.searched_file", lambda profile: path)
    return path


@pytest.mark.parametrize("overrides", [["task.epochs=2"], ["task.epochs=null", "task.steps=100"]])
def test_it_may_train_less(overrides, file):
    check(_search(*overrides))


@pytest.mark.parametrize("override", ["task.model.hidden=8", "task.epochs_per_day=2"])
def test_no_other_setting_may_hold_for_it_alone(override):
    """Else a rate that was found for another network would ship."""
    with pytest.raises(UsageError, match=f"'{override}' would hold for the search alone"):
        check(_search("task.epochs=2", override))


def test_a_trial_is_the_beginning_of_a_run():
    """With a schedule that ends with the trial, rates won at which whole runs of radiance fields break down."""
    short = Search("nerf_synthetic/lego", ("fa",), load("fields"), 1, 0, "smoke", (0,), ("task.steps=30",))
    with pytest.raises(UsageError, match="a schedule of 30 steps, and its runs one of 60"):
        check(short)
    check(dataclasses.replace(short, overrides=("task.steps=30", "task.optim.schedule_steps=60")))


def test_settings_of_other_methods_are_not_lost(file):
    """A search of one method alone took away what had been found for all others of the task, with its evidence."""
    file.write_text("citation/gcn_cora:\n  fa: {task.optim.lr: 0.1}  # 80.0 (79.0)\n  local: {task.optim.lr: 0.3}\n")
    with pytest.raises(UsageError, match=r"quick\.yaml has settings of local for citation/gcn_cora"):
        check(_search())
    check(dataclasses.replace(_search(), methods=("fa", "local")))
    check(dataclasses.replace(_search(), task="citation/gcn_citeseer"))


def test_searches_that_end_at_the_same_time_keep_their_entries(file, monkeypatch, tmp_path):
    ships = Result(Trial("fa", 0, {}, "valid_accuracy", ()), "ok", 0.5)
    found = Result(Trial("fa", 1, {"task.optim.lr": 0.3}, "valid_accuracy", ()), "ok", 0.6)
    ranking = Ranking("valid_accuracy", ships, [found])
    monkeypatch.setattr(searched, "pack", lambda records, path: 0)

    def end(task: str) -> None:
        searched.write(dataclasses.replace(_search(), task=task), [], {"fa": ranking}, tmp_path)

    tasks = ("citation/gcn_cora", "citation/gcn_citeseer")
    both_rewrite(monkeypatch, searched, "_read", *(partial(end, task) for task in tasks))
    assert set(searched._read(file)) == set(tasks)
