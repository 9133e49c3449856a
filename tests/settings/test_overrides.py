"""Overrides are parsed once and known by setting; the choices of a group are those of files and of Hydra's store."""

from __future__ import annotations

import ast

import pytest
from hydra.core.config_store import ConfigStore

from benchmarks import run as run_command
from benchmarks.settings import flags, overrides
from benchmarks.settings.choices import options
from benchmarks.settings.compose import load_plugins
from benchmarks.settings.conf_files import CONF
from benchmarks.settings.overrides import Overrides, plugins_named_in
from benchmarks.terminal.errors import UsageError
from benchmarks.training.run import Run
from tests import REPOSITORY

LINE = ["task=citation/gcn_cora", "method=dfa", "profile=smoke", "task.optim.lr=0.1", "seed=3", "results=out"]


@pytest.fixture
def parses(monkeypatch):
    """What is parsed from now on; Hydra itself reads a line again when it composes."""
    given: list[list[str]] = []
    original = overrides._parsed

    def counted(texts):
        given.append(list(texts))
        return original(texts)

    monkeypatch.setattr(overrides, "_parsed", counted)
    return given


def test_a_command_line_is_parsed_once(folder, parses):
    """Without it each check would read the line anew, in its own way, and a sweep of thousands of runs would crawl."""
    Run.plan(LINE)
    assert parses == [LINE]
    parses.clear()
    run_command._checked(flags.parse(LINE))
    assert parses == [LINE]


def test_what_is_added_is_all_that_is_parsed(folder, parses):
    """Without it planning would parse the sweep's overrides for each task, method and seed."""
    shared = Overrides.of(LINE)
    parses.clear()
    longer = Overrides.of(["data=standin"]).and_those(shared)
    assert Overrides.of(longer) is longer and parses == [["data=standin"]]
    assert list(longer) == ["data=standin", *LINE] and longer[1] == LINE[0] and len(longer) == 7


def test_a_setting_is_known_by_its_key():
    """Without it `+seed=3` and `seed=3` would be two settings, and a value with `=` in it be cut."""
    found = Overrides.of(["+seed=3", "task.optim.lr=0.1,0.2", "results='a=b'", "~task.skip", "seed=4"])
    assert found.keys == ["seed", "task.optim.lr", "results", "task.skip", "seed"]
    assert [setting.is_plain for setting in found.settings] == [False, False, True, False, True]
    assert [setting.is_sweep for setting in found.settings] == [False, True, False, False, False]
    assert found.settings[2].typed == "'a=b'" and found.settings[1].values(options) == ["0.1", "0.2"]
    assert list(found.only(["seed"])) == ["+seed=3", "seed=4"]


def test_what_is_no_override_is_named():
    """Without it a typo would show as Hydra's own text of several lines."""
    with pytest.raises(UsageError, match="write key=value") as caught:
        Overrides.of(["seed=1", "nonsense["])
    assert "\n" not in str(caught.value)


def test_plugins_are_found_in_the_parsed_line(folder):
    """Without it a quoted path, or one that is added with +, would not be loaded."""
    assert plugins_named_in(["+plugins=['b c.py', a.py]", "seed=1"]) == ["b c.py", "a.py"]


def test_choices_are_those_of_files_and_of_the_store(monkeypatch):
    """Without it a task that is generated, or a method of a plugin, could be composed and not be chosen."""
    repo = ConfigStore.instance().repo
    monkeypatch.setitem(repo, "task", {**repo.get("task", {}), "made_up": {"deep": {}}})
    ConfigStore.instance().store(group="task/made_up", name="gcn", node={"a": 1})
    ConfigStore.instance().store(group="task/made_up/deep", name="gat", node={"a": 1})
    load_plugins([])  # forgets what was listed before
    try:
        found = options("task")
    finally:
        monkeypatch.undo()
        load_plugins([])
    assert {"made_up/gcn", "made_up/deep/gat", "citation/gcn_cora"} <= set(found) and found == sorted(found)
    assert len(found) == len(set(found)) and "schema" not in options("profile")
    files = (CONF / "task").rglob("*.yaml")
    assert {path.relative_to(CONF / "task").with_suffix("").as_posix() for path in files} <= set(found)


def test_hydra_is_used_by_its_public_interface():
    """Without it an update of Hydra could break the commands: names with an underscore and its loaders may change."""
    for path in [*(REPOSITORY / "benchmarks").rglob("*.py"), *(REPOSITORY / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hydra"):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                assert not [n for n in names if n.startswith("_") and n != "__version__"], path
            if isinstance(node, ast.Attribute):
                assert node.attr != "config_loader", path
