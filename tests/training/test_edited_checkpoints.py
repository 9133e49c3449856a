"""Checkpoints that are sound files of PyTorch's, and hold what their run cannot go on from."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from benchmarks.training.checkpoint import Checkpoint
from tests.helpers.toy_task import BATCHES, StopAt, make_loop, run_to_next_stop, settings, without_time

FIRST = "best_weights.layers.0.weight"
#: Where in the loop's state, and what is put there; None: it is taken out.
EDITS: dict[str, Any] = {
    "progress.step": ["8", -7, 3.5, True],
    "progress.epoch": [10**6, 1.5],
    "progress.batch": [-1, "a", 10**6],
    "progress.best": ["x", math.nan, 1e9, None],
    "progress.best_metrics": [[1], {"valid_loss": "90"}, {"valid_accuracy": 3.0}],
    "progress.evaluations_since_best": ["a"],
    "progress.finished": [True, "no"],
    "progress.diverged": [True],
    "progress.train_seconds": [-5.0, math.nan, "a"],
    "progress.history": [None, [], ["a"], [{"step": 6}], [{"step": "x", "epoch": 1, "train_loss": "y"}]],
    "best_weights": [[1, 2], {}, None],
    FIRST: [torch.ones(1), torch.ones(12, 5).long(), "hello"],
    "model.layers.0.weight": [torch.ones(12, 5).long(), torch.ones(1, 5)],
    "method": [{}],
    "optimizer.state.0.exp_avg": [torch.ones(1), "a"],
    "optimizer.state.0.step": ["a"],
    "optimizer.state.77": [{}],
    "optimizer.param_groups.0.lr": ["a", math.nan, 1e3],
    "optimizer.param_groups.0.betas": [(0.9,), "ab"],
    "optimizer.param_groups": [[]],
    "loss": [["a", 1], [torch.ones(3), 1], [torch.ones(()), 0], [torch.ones(()), "a"], [None, 3], None],
}
CASES = [(place, value) for place, values in EDITS.items() for value in values]
REMOVED = ["progress.samples", "optimizer.state.0.exp_avg", "optimizer.param_groups.0.betas", FIRST, "schedule"]


def child(parent, key):
    """The key or the index that a part of a path means."""
    return int(key) if isinstance(parent, list) or (key.isdigit() and key not in parent) else key


def descend(state, place):
    """The container that a place lies in, and its key there. Names of weights have dots of their own."""
    head, _, rest = place.partition(".")
    if head in ("model", "best_weights", "method") and rest:
        return state[head], rest
    *above, last = place.split(".")
    for key in above:
        state = state[child(state, key)]
    return state, child(state, last)


def refused(path, edit, caplog, config):
    """Edit a checkpoint of the middle of an epoch; the run starts from the beginning, and ends as one that had none."""
    stop = StopAt(BATCHES + 2)
    loop = make_loop("dfa", config, stop_requested=stop)
    stop.loop = loop
    assert run_to_next_stop(loop)
    Checkpoint(path).save(loop)
    file = torch.load(path, weights_only=True)
    edit(file["loop"])
    torch.save(file, path)
    fresh, untouched = make_loop("dfa", config), make_loop("dfa", config)
    assert not Checkpoint(path).restore(fresh)
    assert len(caplog.records) == 1 and "starting from the beginning" in caplog.text and not path.exists()
    fresh.run()
    untouched = make_loop("dfa", config)
    untouched.run()
    assert without_time(fresh.progress.history) == without_time(untouched.progress.history)


@pytest.mark.parametrize(("place", "value"), CASES, ids=[f"{place}={str(value)[:20]}" for place, value in CASES])
def test_what_a_run_cannot_go_on_from_is_refused(place, value, tmp_path, caplog):
    """Without it the run would end in a traceback, at every try, or train on something else in silence."""

    def edit(state):
        container, key = descend(state, place)
        container[key] = value

    refused(tmp_path / "run.pt", edit, caplog, settings(epochs=3))


@pytest.mark.parametrize("place", REMOVED)
def test_what_is_missing_is_refused(place, tmp_path, caplog):
    def edit(state):
        container, key = descend(state, place)
        del container[key]

    refused(tmp_path / "run.pt", edit, caplog, settings(epochs=3))


@pytest.mark.parametrize("kind", ["exponential", "noam", "plateau"])
def test_schedules_that_are_none_are_refused(kind, tmp_path, caplog):
    config = settings(epochs=3, schedule=kind, schedule_steps=3, schedule_factor=0.5)
    refused(tmp_path / "run.pt", lambda state: state.update(schedule={"last_epoch": "a"}), caplog, config)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("stop_at", [1, BATCHES, 3 * BATCHES - 1])
def test_what_a_run_has_saved_is_not(kind, stop_at, tmp_path, caplog):
    """Without it the checks could refuse what is sound: no moments yet, no evaluation yet, the last batch."""
    config = settings(epochs=3, kind=kind, **({"momentum": 0.9} if kind == "sgd" else {}))
    stop = StopAt(stop_at)
    loop = make_loop("shallow", config, stop_requested=stop)
    stop.loop = loop
    assert run_to_next_stop(loop)
    Checkpoint(tmp_path / "run.pt").save(loop)
    assert Checkpoint(tmp_path / "run.pt").restore(make_loop("shallow", config))
    loop.run()
    Checkpoint(tmp_path / "run.pt").save(loop)  # what a logger's fault after the last row leaves
    assert Checkpoint(tmp_path / "run.pt").restore(make_loop("shallow", config)) and not caplog.records


@pytest.mark.parametrize("patience", [None, 1])
def test_runs_that_ended_early_are_not(patience, tmp_path, caplog):
    """Out of patience, or diverged."""
    config = settings(epochs=6, lr=3.0 if patience else 1e20)
    config.patience = patience
    loop = make_loop("bp", config)
    loop.run()
    assert loop.progress.finished and loop.progress.epoch < 6
    Checkpoint(tmp_path / "run.pt").save(loop)
    assert Checkpoint(tmp_path / "run.pt").restore(make_loop("bp", config)) and not caplog.records
