"""A search whose winners ship: what it may have of its own."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.terminal.errors import UsageError
from benchmarks.tune.ranking import Result
from benchmarks.tune.search import Search, Trial
from benchmarks.tune.searched import _settings, check
from benchmarks.tune.space import load


def _search(*overrides):
    return Search("citation/gcn_cora", ("fa",), load("methods"), 1, 0, "quick", (0,), overrides)


def test_an_entry_says_all_that_was_searched():
    """Also where nothing better than what ships was found: that may change, and with it the method's rate."""
    search = dataclasses.replace(_search("task.epochs=2"), task="citation/gcn_citeseer")
    ships = Result(Trial("fa", 0, {}, "valid_accuracy", ()), "ok", 0.5)
    assert _settings(search, "fa", ships) == {"task.optim.lr": 0.01}
    found = Result(Trial("fa", 1, {"task.optim.lr": 0.3}, "valid_accuracy", ()), "ok", 0.5)
    assert _settings(search, "fa", found) == {"task.optim.lr": 0.3}


@pytest.mark.parametrize("overrides", [["task.epochs=2"], ["task.epochs=null", "task.steps=100"]])
def test_it_may_train_less(overrides):
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
