"""The runs that a study concludes from: planned ones, of one version of their settings, on one kind of data."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from benchmarks.records import paths
from benchmarks.records.packs import read_pack
from benchmarks.records.record import Record, hash_config
from benchmarks.settings.compose import compose
from benchmarks.studies.chosen_runs import choose_runs
from benchmarks.studies.discovery import studies
from benchmarks.studies.study import Done
from benchmarks.tables.claims import read_claims
from benchmarks.training import run as runs
from benchmarks.training.run import portable_settings
from benchmarks.workers.plan import Selection, plan
from datasets.core.source import Source
from datasets.registry import find_dataset
from tests import REPOSITORY

STUDIES = REPOSITORY / "results" / "published" / "studies"
PLAN = [Selection("smoke", ["citation/gcn_cora"], ["dfa"], range(2), ["task.epochs=3"])]


def run(*more, seed=0, task="citation/gcn_cora", source="real", status="ok") -> Done:
    choices = [f"task={task}", "method=dfa", "profile=smoke", f"seed={seed}", "task.epochs=3", *more]
    config = {**portable_settings(compose(choices)), "data": {"source": source}}
    record = Record(
        task, "citation", "gcn", "cora", "dfa", "smoke", seed, config, hash_config(config), "", status,
        data={"source": source},
    )  # fmt: skip
    return Done(record, None)


def test_runs_that_the_plan_does_not_have_are_left_out():
    """A study that was changed has runs of its former plan in the same folder, and of rates that shipped once."""
    others = [run("task.optim.lr=0.5"), run(seed=2), run(task="citation/gcn_citeseer"), run("task.epochs=4")]
    runs = [run(), *others, run(status="failed"), run(seed=1, status="diverged")]
    assert choose_runs(runs, PLAN, "") == (runs[0], runs[-1])


def test_settings_beyond_the_overrides_count():
    """Of two runs with the overrides of a selection one may have another setting that a second selection has."""
    wider = dataclasses.replace(PLAN[0], overrides=["task.epochs=3", "task.model.hidden=8"])
    runs = (run(), run("task.model.hidden=8"))
    assert choose_runs(runs, PLAN, "") == runs[:1]
    assert choose_runs(runs, [wider], "") == runs[1:]
    assert choose_runs(runs, [*PLAN, wider], "") == runs


def test_a_feedback_that_all_seeds_share_is_planned_by_seed():
    shared = dataclasses.replace(PLAN[0], overrides=["task.epochs=3", "feedback_seed=0"])
    runs = (run("feedback_seed=0"), run("feedback_seed=0", seed=1), run(seed=1))
    assert choose_runs(runs, [shared], "") == runs[:2]


@pytest.mark.parametrize(("data", "seeds"), [("", [0]), ("auto", [0]), ("real", [0]), ("standin", [1])])
def test_real_data_and_stand_ins_are_never_mixed(data, seeds):
    """The mean of an accuracy on Cora and of one on a generated graph is of nothing."""
    mixed = [run(), run(seed=1, source="stand-in")]
    assert [one.record.seed for one in choose_runs(mixed, PLAN, data)] == seeds


def test_stand_ins_count_for_a_task_without_real_data():
    plan = [dataclasses.replace(PLAN[0], tasks=["citation/gcn_cora", "citation/gcn_citeseer"])]
    mixed = [run(), run(seed=1, source="stand-in"), run(seed=1, source="stand-in", task="citation/gcn_citeseer")]
    assert choose_runs(mixed, plan, "") == (mixed[0], mixed[2])
    assert choose_runs(mixed, plan, "real") == (mixed[0],)


@pytest.mark.parametrize("pack", sorted(STUDIES.glob("*/evidence/*")), ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_what_is_published_is_what_the_command_runs(pack, monkeypatch):
    """Else `make studies` would say something else than the published tables."""
    records = read_pack(pack)
    sources = {
        r.dataset: Source(r.data["source"], find_dataset(r.dataset), Path(), r.data["fingerprint"]) for r in records
    }
    monkeypatch.setattr(runs, "resolve", lambda dataset, *rest: sources[dataset])
    (profile,) = {record.profile for record in records}
    planned = {one.id for selection in studies()[pack.parts[-3]].runs(profile) for one in plan(selection)}
    assert {record.run_id for record in records} <= planned


def test_every_published_claim_has_a_number():
    """One without is of runs that are too short, or missing."""
    claims = read_claims(paths.claims(STUDIES.parent))
    assert len(claims) > 50 and not [one for one in claims if math.isnan(one.ours)]
