"""A search gives every method the same points and the same number of them, and sees of its runs validation only."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from benchmarks.records.packs import read_pack
from benchmarks.records.record import iterate_records
from benchmarks.settings import choices, conf_files
from benchmarks.settings import compose as compose_module
from benchmarks.settings import store as store_module
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.terminal.errors import UsageError
from benchmarks.training.run import Run
from benchmarks.tune import named, search, space
from benchmarks.tune.ranking import Ranking, Result
from benchmarks.workers import plan as plan_module
from benchmarks.workers import workload
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.pool import Queue
from tests.helpers.trials import GCN, SENTINEL, Inline, record, trial_of

METHODS = ("bp", "dfa", "shallow")


@pytest.fixture
def conf(tmp_path_factory, monkeypatch):
    """A copy of `conf/`, to declare spaces and write tasks in."""
    copy = tmp_path_factory.mktemp("copy") / "conf"
    shutil.copytree(conf_files.CONF, copy)
    for module in (choices, compose_module, plan_module, store_module, space, named):
        monkeypatch.setattr(module, "CONF", copy)
    load_plugins([])  # forgets what was composed before
    yield copy
    monkeypatch.undo()
    load_plugins([])


def test_the_points_are_the_same_on_every_start_and_for_every_method():
    """Otherwise an interrupted search would start anew, and a method could win by drawing better points."""
    default, feedback = space.load("default"), space.load("feedback")
    # The sequence's first point is (.40995, .96412, .85765): 10^(−4 + 3·.40995), 10^(−6 + 4·.96412), .8·.85765.
    first = {"task.optim.lr": 0.0017, "task.optim.weight_decay": 0.00719, "task.model.dropout": 0.686}
    assert default.points("bp", 5, seed=0)[0] == first
    for tried in (default, feedback):
        long = {method: tried.points(method, 20, seed=0) for method in METHODS}
        assert all(tried.points(method, 5, seed=0) == long[method][:5] for method in METHODS)
        shared = {m: [{k: p[k] for k in first} for p in points] for m, points in long.items()}
        assert shared["bp"] == shared["dfa"] == shared["shallow"] and len({str(p) for p in long["bp"]}) == 20
        assert tried.points("bp", 5, seed=1) != long["bp"][:5]
    extra = {"method.scale", "method.feedback"}
    assert extra <= set(feedback.points("dfa", 1, 0)[0]) and not extra & set(feedback.points("shallow", 1, 0)[0])


def test_the_points_fill_the_space_evenly():
    """A logarithm too few would put nine of ten rates into the last decade, and every method's best with them."""
    points = space.load("feedback").points("dfa", 16, seed=3)
    position = {
        "task.optim.lr": lambda v: (math.log10(v) + 4) / 3,
        "task.optim.weight_decay": lambda v: (math.log10(v) + 6) / 4,
        "task.model.dropout": lambda v: v / 0.8,
        "method.scale": lambda v: (math.log10(v) + 1) / 2,
        "method.feedback": lambda v: ["shared_uniform", "uniform", "gaussian", "orthogonal"].index(v) / 4,
    }
    for key, of in position.items():
        quarters = [int(4 * of(point[key])) for point in points]
        assert [quarters.count(quarter) for quarter in range(4)] == [4] * 4, key


def test_shipped_spaces_compose_at_their_ends():
    """A space that is out of a setting's range somewhere would fail its users, not us."""
    for path in (conf_files.CONF / "tune").glob("*.yaml"):
        task = re.search(r"benchmarks\.tune (task=\S+)", path.read_text())[1]  # of the command in its head
        for method in METHODS:
            for point in space.load(path.stem).ends(method):
                values = [search.override(key, value) for key, value in point.items()]
                config = compose([task, f"method={method}", *values])
                assert all(OmegaConf.select(config, key) == value for key, value in point.items())


def test_a_space_like_another_has_what_its_methods_have():
    """Two lists of what single methods search would drift apart."""
    fields, methods = space.load("fields"), space.load("methods")
    assert fields.own == methods.own and fields.own and fields.shared != methods.shared


def test_a_search_gives_each_method_the_same_budget_and_runs_nothing_twice(tune):
    """A search that was stopped, or is to go on, must not train for hours what is recorded; nor favour a method."""
    first = tune(*GCN, "methods=bp,dfa,shallow", "trials=2", "space=rate")
    assert (first.code, first.err) == (0, "") and len(Inline.done) == 3 * (1 + 2)
    found = list(iterate_records(Path("results/records")))
    assert {m: sum(r.method == m for r in found) for m in METHODS} == dict.fromkeys(METHODS, 3)
    rates = {
        m: {r.config["task"]["optim"]["lr"] for r in found if r.method == m and "lr" in r.variant} for m in METHODS
    }
    assert rates["bp"] == rates["dfa"] == rates["shallow"] and len(rates["bp"]) == 2
    assert str(SENTINEL) not in first.out and "valid_accuracy" in first.out  # while it ran, and in the tables

    again = tune(*GCN, "methods=bp,dfa,shallow", "trials=2", "space=rate")
    assert len(Inline.done) == 9 and "9 of 9 runs are recorded already" in again.out
    assert again.out.partition("recorded already\n")[2] in first.out  # the tables
    tune(*GCN, "methods=bp,dfa,shallow", "trials=3", "space=rate")
    assert len(Inline.done) == 9 + 3 == len(set(Inline.done))


def test_the_written_config_is_the_winning_run(conf, tune):
    """A rounded or misplaced value would give the named task other settings than those that the search found best."""
    arguments = (*GCN, "methods=bp,dfa,shallow", "trials=3", "task.optim.betas=[0.8,0.99]", "write=mine")
    result = tune(*arguments)
    assert (result.code, result.err) == (0, "") and "citation/gcn_cora_mine" in options("task")
    file = conf / "task" / "citation" / "gcn_cora_mine.yaml"
    text = file.read_text()
    records = list(iterate_records(Path("results/records")))
    for method in METHODS:
        trials = [r for r in records if r.method == method and "optim.lr" in r.variant]
        best = max(trials, key=lambda r: r.metrics["valid_accuracy"])
        base = [f"method={method}", "profile=smoke"]
        now = Run.plan(["task=citation/gcn_cora_mine", *base])
        assert len(trials) == 3 and now.config_hash == best.config_hash and now.config.task.epochs == 3
        assert now.config.task.name == "citation/gcn_cora_mine" and not now.variant
        assert f"{method} {best.metrics['valid_accuracy']:.1f} (" in text
    assert now.config.task.profiles == [] and now.config.task.domain == "tuned_citation"
    lines = text.splitlines()
    assert "# python -m benchmarks.run task=citation/gcn_cora_mine method=dfa profile=smoke" in lines
    (search_line,) = [line for line in lines if line.startswith("# Search: ")]
    assert str(SENTINEL) not in text and "results" not in search_line and "seeds=0," in search_line
    pack = Path("results/published/evidence/tune/citation_gcn_cora_mine.jsonl.gz")
    assert sorted(r.run_id for r in read_pack(pack)) == sorted(r.run_id for r in records) and len(records) == 12

    # The header's command finds the same and writes the same; another file is not overwritten.
    assert tune(*search_line.split()[5:], "jobs=1").code == 0 and file.read_text() == text and len(Inline.done) == 12
    file.write_text("# my own\n")
    assert "gcn_cora_mine.yaml exists" in tune(*arguments).err and file.read_text() == "# my own\n"


@pytest.mark.parametrize("wrong", ["_check_written", "pack"])
def test_what_cannot_be_written_leaves_the_former_search_as_it_was(conf, tune, monkeypatch, wrong):
    """The settings of an earlier search were deleted, and its evidence replaced, under "nothing written"."""
    arguments = (*GCN, "methods=bp,dfa,shallow", "trials=1", "write=mine")
    assert tune(*arguments).code == 0
    files = [conf / "task" / "citation" / "gcn_cora_mine.yaml", *Path("results/published").rglob("*.jsonl.gz")]
    before = [file.read_bytes() for file in files]

    def refuse(*arguments):
        raise ValueError("nothing written: no")

    monkeypatch.setattr(named, wrong, refuse)
    assert tune(*(one if one != "trials=1" else "trials=2" for one in arguments)).code == 2
    assert len(files) == 2 and [file.read_bytes() for file in files] == before
    files[0].unlink()
    assert tune(*arguments).code == 2 and not files[0].exists()


def test_diverged_trials_and_equal_points(declare, tune):
    """A search over few choices meets a point twice, or the shipped one; what explodes must not end it."""
    declare("wild", "settings: {task.optim.lr: {choice: [0.01, 1e+30]}}")  # .01 is what ships
    result = tune(*GCN, "methods=bp,dfa", "trials=4", "space=wild")
    assert (result.code, result.err) == (0, "") and len(Inline.done) == 4 == len(set(Inline.done))
    statuses = [r.status for r in iterate_records(Path("results/records"))]
    assert statuses.count("diverged") == 2 and statuses.count("ok") == 2
    (row,) = [line for line in result.out.splitlines() if "bp" in line and " 0.01 " in line]
    assert [cell.strip() for cell in row.split("│")[-3:-1]] == ["2", "0"]  # two of four points, none failed


def test_what_cannot_be_written(tmp_path):
    """Half of a comparison under a name, or one where a method's runs failed, would pass for equal tuning."""
    asked = search.Search("citation/gcn_cora", METHODS, space.load("rate"), 1, 0, "smoke", (0,))
    one = trial_of(1, [])
    good = Ranking("valid_accuracy", Result(one, "ok", 1.0), [Result(one, "ok", 1.0)])
    for status, message in (("failed", "failed; the same command"), ("diverged", "has a validation value")):
        bad = dataclasses.replace(good, results=[Result(one, status, None)])
        with pytest.raises(ValueError, match=message):
            named.write(asked, [], {"bp": good, "dfa": bad}, "x", tmp_path)
    for change, message in (
        ({"methods": ("bp",)}, "search dfa, shallow as well"),
        ({"space": space.load("feedback")}, "searches method.scale, which no task config holds"),
    ):
        with pytest.raises(UsageError, match=message):
            named.check(dataclasses.replace(asked, **change), "x")
    with pytest.raises(UsageError, match=r"fern_8x256\.yaml exists"):
        named.check(dataclasses.replace(asked, task="llff_real/fern"), "8x256")
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_not_done_is_asked_for_again(monkeypatch):
    """Another search has it, or its worker was stopped: dropped, its trial would have no record to be judged by."""
    outcomes = [Outcome(status) for status in ("busy", "interrupted", "failed")]

    class Script(Inline):
        def _do(self, run):
            return outcomes.pop(0)

    monkeypatch.setattr(workload, "Pool", Script)
    monkeypatch.setattr(workload, "Queue", lambda runs: Queue(runs, pause=0.0))
    trial = trial_of(1, [record(1)])
    waiting = dataclasses.replace(trial, runs=tuple(dataclasses.replace(run, recorded=False) for run in trial.runs))
    out = io.StringIO()
    tally = search.perform([waiting], 1, [], Console(file=out, width=200))
    assert not outcomes and tally.failed == [trial.runs[0].id] and "t trial 1 bp seed 0: failed" in out.getvalue()


def test_values_reach_hydra_unchanged():
    """A number in a notation that Hydra takes for a word would end the search, or a word for null change it."""
    for value in (1e-05, 3e-4, 7, True, None, "plateau"):
        text = search.override("task.optim.lr", value)
        assert json.loads(text.partition("=")[2]) == value
    assert compose(["task=citation/gcn_cora", search.override("task.optim.lr", 1e-05)]).task.optim.lr == 1e-05
