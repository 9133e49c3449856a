"""What the harness's tests share: a folder of their own to run in, and the commands called in this process."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra.core.config_store import ConfigStore
from hypothesis import HealthCheck, settings

from benchmarks.catalogue import methods
from benchmarks.settings import plugins
from benchmarks.settings.choices import options
from benchmarks.settings.compose import load_plugins
from benchmarks.tune import __main__ as tune_command
from benchmarks.tune import space
from benchmarks.workers import plan as plan_module
from benchmarks.workers import workload
from dfa_core import registry
from tests import REPOSITORY
from tests.helpers.trials import Inline

# nohup starts its command with this signal ignored, and commands leave an ignored signal so: the tests send it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The same examples everywhere, and as long as it takes: a busy machine is no failure.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure() -> None:
    """Save time: no garbage collection while a million objects are imported, and no fsync.

    fsync protects records from a power failure, which no test is about, and waits for the disk at each record.
    """
    gc.disable()
    os.fsync = lambda descriptor: None


#: Modules with single tests or fixtures of half a minute: the last of them would run alone, with the other cores idle.
_LONGEST = tuple(
    f"tests/{name}.py"
    for name in (
        "engine/test_distributed",
        "tasks/test_one_package",
        "training/test_processes",
        "workers/test_cluster",
        "workers/test_kill",
        "workers/test_sweep",
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest come first; the others stay in their order."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


def pytest_collection_finish() -> None:
    """Let the garbage collector look only at objects that tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def process_settings() -> Iterator[None]:
    """Undo what a run sets in this process (denormal numbers are flushed); check that no method stays registered."""
    known = set(registry._METHODS)
    yield
    torch.set_flush_denormal(False)
    assert set(registry._METHODS) == known, "a test that registers methods needs the fixture own_methods"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins are generated once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with an environment that holds nothing of the user's."""
    for name in ("DFA_DATA_DIR", "DFA_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DFA_CACHE_DIR", str(cache))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), *os.environ.get("PYTHONPATH", "").split()]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[Callable[[], None]], Command]:
    """``command(run.main)("seed=3")``: a command's main function called with these arguments."""

    def of(main: Callable[[], None]) -> Command:
        def call(*arguments: str) -> Result:
            monkeypatch.setattr(sys, "argv", [main.__module__, *arguments])
            capfd.readouterr()
            try:
                main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            return Result(code, *capfd.readouterr())

        return call

    return of


@pytest.fixture
def only_tasks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``only_tasks("citation/gcn_cora", …)``: a plan over everything sees these alone; composing all takes seconds."""

    def of(*tasks: str) -> None:
        monkeypatch.setattr(plan_module, "options", lambda group: list(tasks) if group == "task" else options(group))

    return of


@pytest.fixture
def own_methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Methods that a test registers are forgotten after it."""
    before = dict(ConfigStore.instance().repo.get("method", {}))
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    monkeypatch.setattr(plugins, "_loaded", set())
    monkeypatch.setattr(methods, "_OWN", {})
    yield
    ConfigStore.instance().repo["method"] = before
    load_plugins([])  # forgets the choices


@pytest.fixture
def tune(command: Callable[[Callable[[], None]], Command], monkeypatch: pytest.MonkeyPatch) -> Command:
    """``tune("trials=3", …)``: the command, its runs in this process; `Inline.done` names them."""
    monkeypatch.setattr(workload, "Pool", Inline)
    Inline.done = []
    return command(tune_command.main)


@pytest.fixture
def declare(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], int]:
    """``declare(name, text)``: a space of the test's own, the only one there is."""
    conf = tmp_path_factory.mktemp("spaces")
    (conf / "tune").mkdir()
    monkeypatch.setattr(space, "CONF", conf)
    return lambda name, text: (conf / "tune" / f"{name}.yaml").write_text(text)
