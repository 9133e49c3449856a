"""The runs that a study concludes from: planned ones, of one version of their settings, on one kind of data."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.records.packs import read_pack
from benchmarks.records.record import Record, hash_config
from benchmarks.studies.chosen_runs import that_count
from benchmarks.studies.discovery import studies
from benchmarks.studies.study import Done
from benchmarks.tables.claims import read_claims
from benchmarks.training import run as runs
from benchmarks.workers.plan import Selection, plan
from datasets.core.source import Source
from datasets.registry import find_dataset
from tests import REPOSITORY

STUDIES = REPOSITORY / "results" / "published" / "studies"
PLAN = [Selection("quick", ["mnist/mlp"], ["dfa"], range(2), ["task.model.width=8", "task.epochs=null"])]


def run(
    seed=0,
    width=8,
    source="real",
    task="mnist/mlp",
    epochs=None,
    status="ok",
    lr=0.1,
    finished="2026-01-01",
    feedback=None,
) -> Done:
    of_task = {"architecture": "mlp", "model": {"width": width}, "epochs": epochs, "optim": {"lr": lr}}
    config = {"task": of_task, "method": {"name": "dfa"}, "feedback_seed": feedback or "seed"}
    record = Record(
        task, "images", "mlp", "mnist", "dfa", "quick", seed, config, hash_config(config), "", status,
        data={"source": source}, finished=finished,
    )  # fmt: skip
    return Done(record, None)


def test_runs_that_the_plan_does_not_have_are_left_out():
    """A study that was changed has runs of its former plan in the same folder."""
    others = [run(width=16), run(seed=2), run(task="mnist/cnn"), run(epochs=3), run(status="failed", lr=0.2)]
    assert that_count([run(), *others, run(1)], PLAN, "") == (run(), run(1))


def test_runs_of_former_settings_are_left_out():
    """The rate that ships is another by now: both rates would stand in one mean, as two seeds."""
    former, now = run(1, finished="2025"), run(0, lr=0.2)
    assert that_count([former, now], PLAN, "") == (now,)
    assert that_count([run(0), run(1, feedback=7)], PLAN, "") == (run(0), run(1, feedback=7))
    diverged = run(0, lr=0.2, status="diverged")
    assert that_count([run(0, finished="2025"), diverged], PLAN, "") == (diverged,)


@pytest.mark.parametrize(("data", "seeds"), [("", [0]), ("auto", [0]), ("real", [0]), ("standin", [1])])
def test_real_data_and_stand_ins_are_never_mixed(data, seeds):
    """The mean of an accuracy on MNIST and of one on generated digits is of nothing."""
    mixed = [run(0), run(1, source="stand-in")]
    assert [one.record.seed for one in that_count(mixed, PLAN, data)] == seeds


def test_stand_ins_count_for_a_task_without_real_data():
    plan = [*PLAN, Selection("quick", ["mnist/cnn"], ["dfa"])]
    mixed = [run(0), run(1, source="stand-in"), run(1, source="stand-in", task="mnist/cnn")]
    assert that_count(mixed, plan, "") == (mixed[0], mixed[2])
    assert that_count(mixed, plan, "real") == (mixed[0],)


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
    claims = read_claims(STUDIES.parent / "tables" / "studies.csv")
    assert len(claims) > 50 and not [one for one in claims if math.isnan(one.ours)]
