"""What a stranger hands in: evidence that was altered is rejected, and numbers are repeated."""

from __future__ import annotations

import copy
import dataclasses
from functools import cache
from pathlib import Path

import pytest

from benchmarks.records.packs import pack
from benchmarks.records.record import iterate_records, write_record
from benchmarks.settings.compose import load_plugins
from benchmarks.submit.__main__ import main, submitted
from benchmarks.submit.check import problems_of
from benchmarks.submit.repeat import repeat, to_repeat
from benchmarks.terminal.errors import UsageError
from benchmarks.training.execute import execute
from benchmarks.training.run import Run
from benchmarks.workers.request import parse
from tests import REPOSITORY
from tests.helpers.results_samples import records

EXAMPLE = str(REPOSITORY / "examples" / "random_direction.py")


pytestmark = pytest.mark.usefixtures("own_methods")


@cache
def trained(results):
    """The records of three seeds of a plugin, bp and shallow on the smallest task, made once."""
    for method in ("bp", "shallow", "random_direction"):
        for seed in range(3):
            choices = ["task=citation/gcn_cora", f"method={method}", f"seed={seed}", "profile=smoke"]
            execute(Run.plan([*choices, "task.epochs=2", f"results={results}"]))
    return [dataclasses.replace(one, variant="") for one in iterate_records(results / "records")]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("submission")


@pytest.fixture
def runs(own_methods, results):
    """A copy of these records, and the plugin."""
    load_plugins([EXAMPLE])
    return copy.deepcopy(trained(results))


def found(tmp_path, records):
    file = tmp_path / "mine.jsonl.gz"
    pack(records, file)
    return problems_of(file)[1]


def rerun(records, count, folder):
    return list(repeat(to_repeat(records, count), folder))


def test_other_settings_are_seen(runs, tmp_path):
    """Two epochs where the task has more: the hash is right, and not the one of the shipped settings."""
    problems = found(tmp_path, runs)
    assert len(problems) == len(runs) and all("would run it with other settings" in one for one in problems)


def test_a_pack_has_the_methods_of_the_plugin_as_it_is_now(runs, tmp_path, monkeypatch):
    """Else runs of an earlier version of the file, or of another method, would have the submission rejected."""
    other, earlier = dataclasses.replace(runs[0], method="dfa"), dataclasses.replace(runs[-1], config_hash="0" * 12)
    for record in [*runs, other, earlier]:
        write_record(record, tmp_path / "records")
    of_now = {one.run_id: one.config_hash for one in runs}
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda record: of_now.get(record.run_id))
    assert {one.run_id for one in submitted(tmp_path, ["random_direction"])} == set(of_now)


@pytest.mark.parametrize("name", ["my, dir", "it's [mine]", "josé (1)", "plain"])
def test_a_plugin_may_lie_in_a_folder_of_any_name(name, tmp_path, monkeypatch):
    """The conformance test passed for minutes, and then the sweep looked for a half of the path."""
    plugin = tmp_path / name / "mine.py"
    plugin.parent.mkdir()
    plugin.write_text(Path(EXAMPLE).read_text())
    commands = []

    def noted(*command):
        commands.append(command)
        return len(commands) - 1  # the sweep fails: nothing is packed

    monkeypatch.setattr("benchmarks.submit.__main__._run", noted)
    assert main(["make", str(plugin), "--results", str(tmp_path / name)]) == 1
    (_, tested, *_), (_, *sweep) = commands
    asked = parse(sweep)
    assert asked.plugins == [tested] == [str(plugin)] and asked.results == tmp_path / name


@pytest.fixture
def accepted(runs, monkeypatch):
    """The same, where the settings of these runs are what ships."""
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda record: None)
    return runs


def test_what_is_as_it_was_is_accepted(accepted, tmp_path):
    assert found(tmp_path, accepted) == []


def test_runs_of_no_task_are_rejected(runs, tmp_path):
    """Invented, with a hash of their own settings."""
    invented = [dataclasses.replace(one, task="citation/gcn_corb") for one in runs]
    assert any("cannot run it (unknown task 'citation/gcn_corb'" in one for one in found(tmp_path, invented))


def test_what_cannot_be_verified_here_is_counted(accepted, tmp_path, capsys):
    file = tmp_path / "mine.jsonl.gz"
    pack(accepted, file)
    assert main(["check", str(file), "--rerun", "0"]) == 0
    assert f"{len(accepted)} record(s) not verified against the shipped settings" in capsys.readouterr().out


def test_changed_settings_are_rejected(accepted, tmp_path):
    """A rate that was changed afterwards, with the old hash."""
    bad = dataclasses.replace(accepted[0], config={**accepted[0].config, "device": "cuda"})
    assert any("not those that its hash was made of" in one for one in found(tmp_path, [bad, *accepted[1:]]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architecture", "gat"),
        ("dataset", "pubmed"),
        ("domain", "recommendation"),
        ("method", "fa"),
        ("primary_metric", "valid_accuracy"),
        ("data", {"source": "real", "fingerprint": "f0"}),
    ],
)
def test_a_field_that_its_settings_contradict_is_rejected(accepted, tmp_path, field, value):
    """The hash is right: stand-ins would count as real data, a number stand in another row or be of another metric."""
    bad = dataclasses.replace(accepted[0], **{field: value})
    (said,) = [one for one in found(tmp_path, [bad, *accepted[1:]]) if bad.run_id in one]
    assert f"{field}" in said and ("in its settings" in said or "which has no gcn" in said)


def test_overridden_settings_are_rejected(accepted, tmp_path):
    bad = dataclasses.replace(accepted[0], variant="task.optim.lr=1")
    assert any("other settings than the shipped ones" in one for one in found(tmp_path, [bad, *accepted[1:]]))


def test_too_few_seeds_in_common_are_rejected(accepted, tmp_path):
    fewer = [one for one in accepted if (one.method, one.seed) != ("shallow", 2)]
    assert found(tmp_path, fewer) == [
        "citation/gcn_cora: 2 seed(s) of random_direction in common with bp and shallow, not 3"
    ]
    alone = [one for one in accepted if one.method in ("bp", "shallow")]
    assert found(tmp_path, alone) == ["there is no method beside bp and shallow"]


def test_a_number_that_cannot_be_repeated_is_named(runs, tmp_path, monkeypatch):
    """The run is made again, by the settings that ship, and its metric compared."""
    monkeypatch.setattr("benchmarks.submit.planned.choices", lambda record: [
        *("task=citation/gcn_cora", f"method={record.method}", f"seed={record.seed}", "profile=smoke", "task.epochs=2")
    ])  # fmt: skip
    assert rerun(runs, 1, tmp_path / "a") == []
    better = [dataclasses.replace(one, metrics={"accuracy": one.metrics["accuracy"] + 20}) for one in runs]
    said = rerun(better, 1, tmp_path / "b")
    assert len(said) == 3 and all("accuracy is" in one and "when it is run here" in one for one in said)
    worse = [dataclasses.replace(one, metrics={"accuracy": 1.0}) if one.method == "bp" else one for one in runs]
    (said,) = rerun(worse, 1, tmp_path / "c")  # backprop, which a method is compared with
    assert "/bp/" in said


@pytest.mark.parametrize(("value", "told"), [(99.0, "99"), (None, "absent")])
def test_every_metric_is_repeated(runs, tmp_path, monkeypatch, value, told):
    """Not the primary one alone: tables print the others, too. One that is missing was taken out."""
    changed = [dataclasses.replace(one, metrics=one.metrics | {"valid_accuracy": value}) for one in runs]
    for one in changed:
        if value is None:
            del one.metrics["valid_accuracy"]
    again = {one.run_id: one for one in runs}
    monkeypatch.setattr("benchmarks.submit.planned.Run.plan", lambda choices: choices)
    monkeypatch.setattr("benchmarks.submit.planned.choices", lambda record: [record.run_id])
    monkeypatch.setattr("benchmarks.submit.repeat.execute", lambda choices: again[choices[0]])
    assert list(repeat(runs, tmp_path)) == []
    said = list(repeat(changed, tmp_path))
    assert len(said) == len(runs) and all(f"valid_accuracy is {told} in the pack and" in one for one in said)


def test_the_pack_does_not_choose_what_is_repeated(runs, monkeypatch):
    """It named the shortest run of each method, and could keep the honest ones for it."""
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda record: record.config_hash)
    monkeypatch.setattr("benchmarks.submit.planned.Run.plan", cache(Run.plan))  # 720 times otherwise
    monkeypatch.setattr("benchmarks.submit.planned.choices", lambda record: (f"task={record.task}", "profile=smoke"))
    slow = [dataclasses.replace(one, task="citation/dna_pubmed", train_seconds=0.0) for one in runs]
    quick = [dataclasses.replace(one, train_seconds=float(one.seed)) for one in runs]
    chosen = [to_repeat([*slow, *quick], 1) for _ in range(40)]
    assert {one.task for some in chosen for one in some} == {"citation/gcn_cora"}
    drawn = {(one.method, one.seed) for some in chosen for one in some}
    assert drawn == {(one.method, one.seed) for one in runs}


@pytest.mark.parametrize("raised", [SystemExit(0), KeyError("boom"), RuntimeError("boom")])
def test_a_method_that_cannot_be_run_is_named(runs, tmp_path, monkeypatch, raised):
    """`sys.exit(0)` in its step would end the check with the exit code of an accepted pack, and without a word."""

    def run(planned):
        raise raised

    monkeypatch.setattr("benchmarks.submit.repeat.execute", run)
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda record: record.config_hash)
    said = rerun(runs, 1, tmp_path / "a")
    assert len(said) == 3 and all("it cannot be run here" in one and type(raised).__name__ in one for one in said)


def test_runs_whose_data_are_here_are_repeated(runs, tmp_path, monkeypatch):
    """The shortest of all would end the check, although others can be repeated; and none is no repetition."""
    monkeypatch.setattr("benchmarks.submit.repeat.execute", lambda planned: again[0])
    mine = next(one for one in runs if one.method == "random_direction")
    here = {mine.run_id: mine.config_hash}
    monkeypatch.setattr("benchmarks.submit.planned.hash_here", lambda record: here.get(record.run_id))
    again = [dataclasses.replace(mine, metrics={"accuracy": -5.0})]
    assert [one.partition(":")[0] for one in rerun(runs, 3, tmp_path / "a")] == [mine.run_id]
    here.clear()
    with pytest.raises(UsageError, match="no run of the method can be repeated"):
        rerun(runs, 3, tmp_path / "a")


@pytest.mark.parametrize("count", ["-1", "x", "1.5"])
def test_a_number_of_runs_to_repeat_is_a_number(tmp_path, capsys, count):
    """-1 repeated all but the longest."""
    with pytest.raises(SystemExit) as ended:
        main(["check", str(tmp_path / "mine.jsonl"), "--rerun", count])
    assert ended.value.code == 2 and "is not a" in capsys.readouterr().err


def test_a_pack_of_an_unknown_method_asks_for_its_file(tmp_path, capsys):
    """Without it the pack would be accepted with nothing of the method verified."""
    file = tmp_path / "mine.jsonl"
    pack(records([80.0] * 3, method="mine"), file)
    with pytest.raises(SystemExit) as ended:
        main(["check", str(file)])
    assert ended.value.code == 2 and "unknown method mine: give its file with --plugin" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["check", str(tmp_path / "nothing.jsonl")])
    assert ended.value.code == 2 and "no such file" in capsys.readouterr().err
