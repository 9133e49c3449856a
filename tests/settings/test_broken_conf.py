"""A broken file in `conf/` concerns the runs that use it, and no others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from benchmarks import run, sweep
from benchmarks.settings import choices, conf_files
from benchmarks.settings import compose as compose_module
from benchmarks.settings import store as store_module
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.settings.conf_files import BrokenFileError
from benchmarks.terminal.errors import UsageError
from benchmarks.workers import plan as plan_module
from benchmarks.workers.plan import Selection, plan

BROKEN = "hidden: [1\nmore: {\n"
FAULTS = {
    "syntax": (BROKEN, "line 2: not readable as YAML"),
    "tab": ("\thidden: 1\n", "line 1: not readable as YAML"),
    "twice": ("a: 1\na: 2\n", "line 2: not readable as YAML (found duplicate key a)"),
    "tag": ("a: !!python/object:os.system x\n", "line 1: not readable as YAML"),
    "text": ("just text\n", "names no architecture"),
    "list": ("[1, 2]\n", "names no architecture"),
    "empty": ("", "names no architecture"),
    "bytes": (b"\xff\xfe\x00", "'utf-8' codec can't decode"),
    "unknown": ("defaults: [/architecture/gat@_here_, _self_]\ndataset: cora\nhiden: 3\n", "Key 'hiden' not in"),
    "no such architecture": ("defaults: [/architecture/gatt@_here_, _self_]\n", "Could not load 'architecture/gatt'"),
}


@pytest.fixture
def conf(tmp_path_factory, monkeypatch, folder):
    """A copy of `conf/` that a test may break."""
    place = tmp_path_factory.mktemp("conf") / "conf"
    shutil.copytree(conf_files.CONF, place)
    for module in (conf_files, choices, compose_module, plan_module, store_module):
        monkeypatch.setattr(module, "CONF", place)
    # A task that gets a file here must not be there without one.
    kept = {group: nodes for group, nodes in ConfigStore.instance().repo.items() if group not in ("task", "method")}
    monkeypatch.setattr(ConfigStore.instance(), "repo", kept)
    load_plugins([])  # forgets what was read
    yield place
    monkeypatch.undo()
    load_plugins([])


def test_the_run_that_names_it_is_told_file_and_line(conf):
    """A traceback through YAML's parser hides which of a hundred files it is."""
    path = conf / "task/citation/gat_cora.yaml"
    for fault, (content, said) in FAULTS.items():
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        choices.by_hydra.cache_clear()
        with pytest.raises(BrokenFileError) as caught:
            compose(["task=citation/gat_cora"])
        message = str(caught.value)
        assert said in message and "citation/gat_cora" in message and "\n" not in message, fault
        assert caught.value.is_of_a_task, fault
    assert compose(["task=citation/gcn_cora", "method=bp", "profile=smoke"]).task.name == "citation/gcn_cora"


@pytest.mark.parametrize(
    "broken", ["task/citation/gcn_cora", "profile/quick", "method/dfa", "hardware/cpu", "logger/none"]
)
def test_the_defaults_may_be_broken_too(broken, conf):
    """What a run chooses otherwise, it does not need: the default task's file broke every command."""
    (conf / broken).parent.mkdir(exist_ok=True)
    (conf / f"{broken}.yaml").write_text(BROKEN)
    others = ["task=citation/gat_cora", "profile=smoke", "method=bp", "hardware=gpu", "logger=wandb", "task.epochs=3",
              "hardware.device=cpu"]  # fmt: skip
    config = compose(others)
    assert config.task.epochs == 3 and config.method.name == "bp"
    with pytest.raises(UsageError, match=r"line 2: not readable as YAML"):
        compose([])


def test_help_does_not_need_the_default_task(conf, command):
    """Whoever breaks a file looks at --help next."""
    (conf / "task/citation/gcn_cora.yaml").write_text(BROKEN)
    done = command(run.main)("--help")
    assert (done.code, done.err) == (0, "") and "citation/gat_cora" in done.out and "not readable as YAML" in done.out
    done = command(run.main)("seed=1")
    assert done.code == 2 and done.err.count("\n") == 1 and "gcn_cora.yaml, line 2" in done.err


def test_a_sweep_over_all_leaves_it_out_and_one_that_names_it_ends(conf, command, only_tasks):
    """One file would else stop a sweep over everything; and where it is asked for, leaving it out would hide it."""
    (conf / "task/citation/gat_cora.yaml").write_text(BROKEN)
    only_tasks("citation/gat_cora", "citation/gcn_cora", "criteo/fm")
    said = []
    runs = plan(Selection("smoke"), lambda task, reason: said.append((task, reason)))
    planned = {run.task for run in runs}
    assert "citation/gcn_cora" in planned and "citation/gat_cora" not in planned
    assert [task for task, _ in said] == ["citation/gat_cora"] and "line 2: not readable" in said[0][1]
    done = command(sweep.main)("profile=smoke", "tasks=citation", "results=out")
    assert done.code == 2 and done.err.count("\n") == 1 and "gat_cora.yaml, line 2" in done.err
    (conf / "method").mkdir(exist_ok=True)
    (conf / "method/dfa.yaml").write_text(BROKEN)
    load_plugins([])  # as in a new process
    with pytest.raises(BrokenFileError, match=r"dfa\.yaml, line 2"):  # no task's fault
        plan(Selection("smoke"), lambda task, reason: None)
    assert plan(Selection("smoke", ["citation/gcn_cora"], ["bp"]))
    assert not Path("out").exists()
