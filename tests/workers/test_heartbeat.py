"""A worker's heartbeat: the share of a run that is done, while it is trained."""

from __future__ import annotations

import itertools

import pytest

from benchmarks.training.execute import execute
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.run import Run
from benchmarks.workers.heartbeat import SILENT, Heartbeat
from benchmarks.workers.plan import Selection, plan
from benchmarks.workers.worker import perform
from tests.helpers.toy_task import BATCHES, make_loop, settings


def test_a_run_tells_how_far_it_is(folder):
    """Without it a sweep would learn of the longest runs, which come first, only when they are over."""
    (run,) = plan(Selection("smoke", ["citation/gcn_cora"], ["bp"], [0], ["task.epochs=4"]))
    heartbeat = Heartbeat()
    outcome = perform(run.overrides, lambda: False, heartbeat)
    assert outcome.pulse == heartbeat.read() and outcome.pulse.seconds > 0
    assert (outcome.pulse.done, outcome.pulse.resumed) == (1.0, 0.0)
    heartbeat.clear()
    assert heartbeat.read() == SILENT
    assert perform(run.overrides, lambda: False, heartbeat).pulse == SILENT  # recorded: nothing is trained


def test_a_resumed_run_tells_where_it_began(folder):
    """Without it a checkpoint's share would count as speed."""
    run = Run.plan(["task=citation/gcn_cora", "method=bp", "profile=smoke", "task.epochs=4"])
    polls, heartbeat = itertools.count(1), Heartbeat()
    with pytest.raises(Interrupted):
        execute(run, lambda: next(polls) >= 2, on_step=heartbeat.beats())
    execute(run, on_step=heartbeat.beats())
    pulse = heartbeat.read()
    assert 0 < pulse.resumed < pulse.done and pulse.trained == pulse.done - pulse.resumed


@pytest.mark.parametrize("task", ["wikitext2/macro", "mnist/mlp", "mnist/mlp_seeds", "criteo/deepfm"])
def test_a_single_epoch_tells_its_share(folder, task):
    """A sweep of such runs learned nothing from them: "13 minutes left" stood there for two hours."""
    run = Run.plan([f"task={task}", "method=bp", "profile=smoke", "task.epochs=1", "task.steps=null"])
    told: list[float] = []
    execute(run, on_step=told.append)
    assert told[0] == 0 and told[-1] == 1 and told == sorted(told)
    assert 0 < told[1] < 1.5 * told[2] / 2  # known from the first step on, and right


@pytest.mark.parametrize("budget", [{"epochs": 3}, {"epochs": None, "steps": 3 * BATCHES}])
def test_the_share_grows_within_an_epoch(budget):
    """Without it a run of two epochs would tell nothing for half of its time. The first epoch has no known length."""
    loop, shares = make_loop("bp", settings(**budget)), []
    loop.run(after_step=lambda: shares.append(loop.share_done))
    expected = [step / (3 * BATCHES) for step in range(1, 3 * BATCHES + 1)]
    known = expected if "steps" in budget else [0.0] * BATCHES + expected[BATCHES:]
    assert shares == pytest.approx(known[: len(shares)]) and len(shares) >= 3 * BATCHES - 1
    assert loop.share_done == 1.0
