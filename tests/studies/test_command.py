"""The command: every study plans, runs, concludes and publishes; what is wrong is one line."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from benchmarks.records import packs, paths
from benchmarks.records.record import hash_config, iterate_records, write_record
from benchmarks.settings.neutral import without_neutral
from benchmarks.studies import __main__ as command
from benchmarks.studies import computed, files, publish
from benchmarks.studies.discovery import studies
from benchmarks.studies.files import findings_of
from benchmarks.studies.study import Computation, Conclusion, Findings, Sheet, Study, measured
from benchmarks.studies.verdicts import above
from benchmarks.tables.claims import read_claims
from benchmarks.workers import workload
from benchmarks.workers.plan import Selection, plan
from tests.helpers.trials import Inline
from tests.records.meanwhile import both_rewrite

pytestmark = pytest.mark.usefixtures("folder")
NAMES = (
    "best_practices",
    "bottleneck",
    "shallow_theory",
    "deep_nets",
    "convolutions",
    "carry_over",
    "scaling",
    "optics",
    "click_anchors",
)


def call(*arguments, monkeypatch, capsys):
    """Exit status, and what the command said."""
    monkeypatch.setattr(sys, "argv", ["studies", *arguments])
    try:
        command.main()
        status = 0
    except SystemExit as left:
        status = left.code
    said = capsys.readouterr()
    return status, said.out, said.err


def test_all_studies_are_found_in_their_order_and_named_in_the_help():
    assert tuple(studies()) == NAMES
    assert all(name in command.__doc__ for name in NAMES)


@pytest.mark.parametrize("profile", ["smoke", "quick", "long", "paper"])
@pytest.mark.parametrize("name", NAMES)
def test_every_study_can_be_planned_at_every_profile(name, profile):
    """A setting that is misspelt would be found hours into a study."""
    study = studies()[name]
    selections = study.runs(profile)
    chosen = selections if profile == "smoke" else [selections[0], selections[-1]] if selections else []
    assert all(one.tasks and one.methods and one.seeds for one in selections)  # by these it knows its runs again
    for selection in chosen:
        assert plan(selection.__class__(**{**vars(selection), "overrides": [*selection.overrides, "data=standin"]}))
    computations = study.computations(profile)
    assert selections or computations
    assert len({one.name for one in computations}) == len(computations)
    json.dumps([dict(one.settings) for one in computations])


@pytest.mark.parametrize("name", NAMES)
def test_a_study_concludes_from_nothing(name):
    """What was not run is not testable, and no reason to fail."""
    conclusion = studies()[name].conclude(Findings(name, "smoke", ()))
    assert all(one.verdict.value == "not testable here" for one in conclusion.claims)
    assert not conclusion.charts


@pytest.fixture
def toy(monkeypatch):
    """A study of one run and one computation, in the place of all others; trained in this process."""
    calls: list[int] = []

    def compute(value: int) -> int:
        calls.append(value)
        return value + 1

    def conclude(findings: Findings) -> Conclusion:
        found = findings.over_seeds(lambda run: run.metric("accuracy"))
        rows = [[str(findings.computed.get("number", "–")), str(len(findings))]]
        return Conclusion(
            [findings.claim("it learns", "accuracy", found, "> 0", above(found, 0))],
            [Sheet("sheet", "A sheet", ("number", "runs"), rows)],
        )

    selection = Selection("smoke", ["citation/gcn_cora"], ["bp"], (0,), ["task.epochs=2"])
    study = Study(
        "toy", "A toy", "nowhere", conclude, lambda profile: (selection,),
        lambda profile: (Computation("number", 1, {"value": 41}, compute),),
    )  # fmt: skip
    monkeypatch.setattr(command, "chosen", lambda names: [study])
    monkeypatch.setattr(workload, "Pool", Inline)
    monkeypatch.setattr(Inline, "done", [], raising=False)
    return calls


def test_a_study_runs_concludes_and_goes_on_where_it_was(toy, monkeypatch, capsys, tmp_path):
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1")
    status, out, _ = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0 and "it learns" in out and "shown" in out
    (claim,) = read_claims(paths.claims(tmp_path))
    assert claim.study == "toy" and claim.profile == "smoke" and claim.data == "stand-in" and claim.n == 1
    assert "42" in (paths.tables(tmp_path) / "studies" / "toy_sheet.md").read_text()
    status, out, _ = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0 and "are recorded already" in out and toy == [41]
    assert len(read_claims(paths.claims(tmp_path))) == 1


def test_what_is_published_rests_on_packs_alone(toy, monkeypatch, capsys, tmp_path):
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1", "publish=true")
    computed.compute(paths.computed(paths.study(tmp_path, "toy")), Computation("former", 1, {}, dict))
    status, _, _ = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    public = paths.published(tmp_path)
    (claim,) = read_claims(paths.claims(public))
    assert status == 0 and claim.verdict.value == "shown"
    assert (paths.evidence(paths.study(public, "toy")) / "smoke.jsonl.gz").exists()
    assert [file.name[:7] for file in paths.computed(paths.study(public, "toy")).iterdir()] == ["number-"]
    status, _, _ = call(f"results={public}", "profile=smoke", "run=false", monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0 and read_claims(paths.claims(public)) == [claim]


def test_nothing_is_concluded_from_nothing(toy, monkeypatch, capsys, tmp_path):
    """A folder that was misspelt would give a table of NaN."""
    arguments = ("profile=smoke", "run=false", f"results={tmp_path / 'misspelt'}")
    status, out, err = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 2 and "nothing is recorded of it at profile=smoke" in out
    assert "misspelt: holds nothing of it; leave out run=false" in err and err.count("\n") == 1
    assert not (tmp_path / "misspelt").exists()


def test_runs_of_former_settings_leave_the_pack(toy, monkeypatch, capsys, tmp_path):
    """What shipped has changed since; the run was made anew, and takes the place of the former one."""
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1", "publish=true")
    call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    study = paths.study(paths.published(tmp_path), "toy")
    pack = paths.evidence(study) / "smoke.jsonl.gz"
    (record,) = packs.read_pack(pack)
    config = {**record.config, "task": {**record.config["task"], "epochs": 3}}
    former = dataclasses.replace(
        record, config=config, config_hash=hash_config(without_neutral(config)), finished="2020-01-01T00:00:00+00:00"
    )
    packs.pack([former, dataclasses.replace(record, seed=7)], pack, {})
    status, *_ = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0 and [one.run_id for one in packs.read_pack(pack)] == [record.run_id]


def test_packed_runs_that_are_not_here_are_kept(toy, monkeypatch, capsys, tmp_path):
    """A study that takes hours is published part by part, from several machines."""
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1", "publish=true")
    call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    folder, public = paths.records(paths.study(tmp_path, "toy")), paths.published(tmp_path)
    (record,) = iterate_records(folder)
    (folder / f"{record.run_id}.json").unlink()
    write_record(dataclasses.replace(record, seed=1), folder)
    (study,) = command.chosen([])
    (selection,) = study.runs("smoke")
    of_two = dataclasses.replace(study, runs=lambda profile: (dataclasses.replace(selection, seeds=(0, 1)),))
    monkeypatch.setattr(command, "chosen", lambda names: [of_two])
    status, *_ = call(*arguments, "run=false", monkeypatch=monkeypatch, capsys=capsys)
    pack = paths.evidence(paths.study(public, "toy")) / "smoke.jsonl.gz"
    assert status == 0 and [one.seed for one in packs.read_pack(pack)] == [0, 1]
    (claim,) = read_claims(paths.claims(public))
    assert claim.n == 2


def test_a_run_from_before_a_setting_counts_with_the_value_that_it_had(toy, monkeypatch, capsys, tmp_path):
    """It has the hash of today's run, so it is not run again; but a table that asks for the setting lacked it."""
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1")
    call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    folder = paths.records(paths.study(tmp_path, "toy"))
    (record,) = iterate_records(folder)
    task = {**record.config["task"], "optim": {**record.config["task"]["optim"]}}
    assert task["optim"].pop("kind") == "adam"
    write_record(dataclasses.replace(record, config={**record.config, "task": task}), folder)
    (study,) = command.chosen([])
    found = findings_of(study, "smoke", tmp_path)
    assert len(found) == len(found.where(task__optim__kind="adam")) == 1


def test_a_run_that_failed_here_does_not_take_a_packed_one_away(toy, monkeypatch, capsys, tmp_path):
    """A run that somebody tried again, on a full disk, would be missing in what is published."""
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1", "publish=true")
    call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    folder, public = paths.records(paths.study(tmp_path, "toy")), paths.published(tmp_path)
    (record,) = iterate_records(folder)
    write_record(dataclasses.replace(record, status="failed", metrics={}, reason="no space"), folder)
    status, *_ = call(*arguments, "run=false", monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0 and packs.read_pack(paths.evidence(paths.study(public, "toy")) / "smoke.jsonl.gz") == [record]


def test_what_is_recorded_beside_the_plan_is_told(toy, monkeypatch, capsys, tmp_path):
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1")
    call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    folder = paths.records(paths.study(tmp_path, "toy"))
    (record,) = iterate_records(folder)
    write_record(dataclasses.replace(record, seed=7), folder)
    status, out, _ = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0 and "left out: 1 recorded run(s)" in out


def test_runs_that_diverged_are_told_and_in_no_mean(toy, monkeypatch, capsys, tmp_path):
    """Else a method that fails on most seeds looks as good as the seed that is left."""
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1")
    call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    (record,) = iterate_records(paths.records(paths.study(tmp_path, "toy")))
    (study,) = command.chosen([])
    (selection,) = study.runs("smoke")
    of_two = dataclasses.replace(study, runs=lambda profile: (dataclasses.replace(selection, seeds=(0, 1)),))
    monkeypatch.setattr(command, "chosen", lambda names: [of_two])
    other = dataclasses.replace(record, seed=1, status="diverged", metrics={}, reason="the loss is not finite")
    write_record(other, paths.records(paths.study(tmp_path, "toy")))
    status, out, _ = call(*arguments, "run=false", monkeypatch=monkeypatch, capsys=capsys)
    told = f"diverged, and in no mean: {other.run_id}"
    (claim,) = read_claims(paths.claims(tmp_path))
    assert status == 0 and claim.n == 1 and told in out
    assert f"- {told}\n" in (paths.tables(tmp_path) / "studies" / "toy_sheet.md").read_text()


def test_runs_of_which_all_diverged_are_recorded(toy, monkeypatch, capsys, tmp_path):
    """With run=false it said that nothing was recorded, and to run it."""
    arguments = ("profile=smoke", "data=standin", f"results={tmp_path}", "jobs=1")
    call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    study = paths.study(tmp_path, "toy")
    (record,) = iterate_records(paths.records(study))
    write_record(dataclasses.replace(record, status="diverged", metrics={}, reason="not finite"), paths.records(study))
    for path in paths.computed(study).iterdir():
        path.unlink()
    status, out, _ = call(*arguments, "run=false", monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0 and f"diverged, and in no mean: {record.run_id}" in out and "nothing is recorded" not in out
    (claim,) = read_claims(paths.claims(tmp_path))
    assert claim.verdict.value == "not testable here"


def test_studies_that_end_at_the_same_time_keep_their_claims(toy, monkeypatch, tmp_path):
    (study,) = command.chosen([])
    conclusions = {
        name: Conclusion([Findings(name, "smoke", ()).claim("c", "q", measured([]), "", None)]) for name in ("a", "b")
    }

    def end(name: str) -> None:
        files.write(dataclasses.replace(study, name=name), conclusions[name], "smoke", tmp_path)

    both_rewrite(monkeypatch, files, "read_claims", lambda: end("a"), lambda: end("b"))
    assert {one.study for one in read_claims(paths.claims(tmp_path))} == {"a", "b"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("botleneck",), "unknown study 'botleneck': did you mean bottleneck"),
        (("bottleneck", "profile=huge"), "profile=huge: choose smoke, quick, long, paper"),
        (("bottleneck", "seeds=3"), "'seeds=3': a study takes profile, jobs"),
        (("bottleneck", "run=perhaps"), "run=perhaps: choose true, false"),
        (("bottleneck", "jobs=none"), "jobs='none': give the number of processes"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, said, monkeypatch, capsys):
    status, _, err = call(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 2 and said in err and err.count("\n") == 1


def test_a_damaged_result_of_a_computation_is_named(tmp_path):
    one = Computation("number", 1, {"value": 1}, lambda value: value)
    computed.compute(tmp_path, one)
    computed.file_of(tmp_path, one).write_text("{}")
    with pytest.raises(ValueError, match=r"number-.*\.json.*not the result of a computation.*delete it"):
        computed.read(tmp_path, [one])


def test_other_settings_or_another_version_are_computed_anew(tmp_path):
    ones = [Computation("n", version, {"v": v}, lambda v: v) for version, v in ((1, 1), (1, 2), (2, 1))]
    assert len({computed.file_of(tmp_path, one) for one in ones}) == 3
    assert publish._ROWS > 2
