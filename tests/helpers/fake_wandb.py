"""A stand-in for the wandb module: keeps what it is told, and fails or hangs where a test wants it to."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import OmegaConf

from benchmarks.wandb_logging.logger import WandbLogger

ROWS = [{"step": step, "epoch": step / 10, "valid_accuracy": 50.0 + step} for step in (10, 20, 30)]
GROUP = OmegaConf.create({"name": "wandb", "mode": "offline", "project": "mine"})


def make_logger(folder: Path) -> WandbLogger:
    """A logger of a run whose record is to be ``<folder>/run.json``."""
    config = OmegaConf.create({"results": str(folder), "logger": GROUP, "task": {"name": "citation/gcn_cora", "lr": 2}})
    return WandbLogger(config, folder / "run")


class FakeTable:
    def __init__(self, columns: list[str], data: list[list[Any]]) -> None:
        assert all(len(row) == len(columns) for row in data)
        self.columns, self.data = columns, data


class FakeSummary(dict):
    def __init__(self, called: Callable[[str], None]) -> None:
        super().__init__()
        self._called = called

    def update(self, *values: Any) -> None:
        self._called("summary")
        super().update(*values)


class FakeRun:
    """What one run received; steps must rise, as wandb wants it."""

    def __init__(self, called: Callable[[str], None], starting_step: int, options: dict[str, Any]) -> None:
        self._called, self.starting_step, self.options = called, starting_step, options
        self.rows: list[dict[str, Any]] = []
        self.media: dict[str, Any] = {}
        self.summary = FakeSummary(called)
        self.exit_code: int | None = None

    def log(self, values: dict[str, Any], step: int | None = None, commit: bool = True) -> None:
        self._called("log")
        if step is None:
            self.media |= values
            return
        assert not self.rows or step > self.rows[-1]["step"]
        self.rows.append(dict(values))

    def finish(self, exit_code: int) -> None:
        self._called("finish")
        self.exit_code = exit_code


class FakeWandb(ModuleType):
    """To be put into ``sys.modules``.

    ``trouble`` says what happens in which call: ``{("log", 3): OSError("disk full")}`` raises in the third ``log``
    and after it, ``{("finish", 1): HANG}`` does not return from ``finish``.
    """

    class Error(Exception):
        pass

    Table = FakeTable

    def __init__(self, trouble: dict[tuple[str, int], Any], starting_step: int = 0) -> None:
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.trouble, self.starting_step = trouble, starting_step
        self.runs: list[FakeRun] = []
        self.calls: Counter[str] = Counter()
        self.released = threading.Event()

    def called(self, what: str) -> None:
        self.calls[what] += 1
        for (where, first), trouble in self.trouble.items():
            if where == what and self.calls[what] >= first:
                if trouble is HANG:
                    self.released.wait(60)
                else:
                    raise trouble

    def login(self, verify: bool) -> bool:
        self.called("login")
        return True

    def init(self, **options: Any) -> FakeRun:
        self.called("init")
        self.runs.append(FakeRun(self.called, self.starting_step, options))
        return self.runs[-1]

    def teardown(self, exit_code: int) -> None:
        self.called("teardown")

    def Settings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def Image(self, path: str) -> tuple[str, str]:
        return ("image", path)

    def Html(self, text: str, inject: bool) -> tuple[str, str]:
        return ("html", text)


HANG = object()


def install(monkeypatch: Any, trouble: dict[tuple[str, int], Any] | None = None, starting_step: int = 0) -> FakeWandb:
    """The fake in place of wandb until the test ends."""
    fake = FakeWandb(trouble or {}, starting_step)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake
