"""Settings that a search has found: what a method ships with, unless the command line says otherwise."""

from __future__ import annotations

import pytest

from benchmarks.records import metrics
from benchmarks.records.packs import read_pack
from benchmarks.settings import searched
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.settings.conf_files import BrokenFileError
from benchmarks.training.run import Run
from tests import REPOSITORY

EVIDENCE = REPOSITORY / "results" / "published" / "evidence"
GCN = ["task=citation/gcn_cora", "profile=quick"]


@pytest.fixture
def found(tmp_path, monkeypatch):
    """``found(text)``: the file of profile quick."""

    def write(text):
        path = tmp_path / "searched" / "quick.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        monkeypatch.setattr(searched, "CONF", tmp_path)
        searched.forget()
        load_plugins([])

    yield write
    monkeypatch.undo()
    searched.forget()
    load_plugins([])


def test_they_apply_to_their_task_method_and_profile_alone(found):
    """Without it one method would train at another's rate."""
    found("citation/gcn_cora: {}\n")
    before = compose([*GCN, "method=dkp"]).task.optim.lr
    found("citation/gcn_cora:\n  fa: {task.optim.lr: 0.0321}\n  dkp: {method.lr: 0.0077}\n")
    assert compose([*GCN, "method=fa"]).task.optim.lr == 0.0321
    config = compose([*GCN, "method=dkp"])
    assert (config.task.optim.lr, config.method.lr) == (before, 0.0077)
    assert compose(["task=citation/gcn_cora", "profile=paper", "method=fa"]).task.optim.lr != 0.0321
    assert compose(["task=citation/cheb_cora", "profile=quick", "method=fa"]).task.optim.lr != 0.0321
    assert compose(["task=citation/gcn_cora", "profile=smoke", "method=fa"]).task.optim.lr == 0.0321


def test_they_are_shipped_and_what_is_given_goes_before_them(found):
    """A run with them is no variant; a run with another rate is."""
    found("citation/gcn_cora:\n  fa: {task.optim.lr: 0.0321}\n")
    assert Run.plan([*GCN, "method=fa", "data=standin"]).variant == ""
    run = Run.plan([*GCN, "method=fa", "data=standin", "task.optim.lr=0.5"])
    assert run.config.task.optim.lr == 0.5 and run.variant == "task.optim.lr=0.5"


@pytest.mark.parametrize("text", ["- no mapping\n", "a: [\n"])
def test_a_broken_file_is_named(found, text):
    found(text)
    with pytest.raises(BrokenFileError, match=r"quick\.yaml"):
        compose([*GCN, "method=fa"])


def test_what_ships_can_be_composed():
    """Without it a search of an older version could hold a setting that is gone."""
    for profile in ("quick",):
        for task, methods in searched._entries(profile).items():
            for method, settings in methods.items():
                config = compose([f"task={task}", f"method={method}", f"profile={profile}"])
                for key, value in settings.items():
                    group, _, name = key.partition(".")
                    assert dict_of(config[group], name) == value


def test_what_ships_is_what_was_searched():
    """An entry that left out what it had from `bp` changed with it: Kolen-Pollack's fields were empty at a new rate."""
    for task, methods in searched._entries("quick").items():
        pack = EVIDENCE / "tune" / f"searched_quick_{task.replace('/', '_')}.jsonl.gz"
        trials = [record for record in read_pack(pack) if record.status == "ok"]
        for method, settings in methods.items():
            config = compose([f"task={task}", f"method={method}", "profile=quick"])
            own = [trial for trial in trials if trial.config["method"]["name"] == method]
            best = max(map(_validation, own))
            assert settings, (task, method)
            assert any(_is_of(trial, config) for trial in own if _validation(trial) == best), (task, method)


def _validation(trial) -> float:
    """What a trial was judged by; more is better."""
    name = f"valid_{trial.primary_metric.removeprefix('valid_')}"
    return trial.metrics[name] * metrics.lookup(name).sign


def _is_of(trial, config) -> bool:
    """The trial's settings, as far as it had them: later ones have their defaults."""
    method = {key: value for key, value in trial.config["method"].items() if key != "code"}
    same = all(config.method.get(key) == value for key, value in method.items())
    return same and config.task.optim.lr == trial.config["task"]["optim"]["lr"]


def dict_of(node, name):
    for part in name.split("."):
        node = node[part]
    return node
