"""Checkpoints: a run that is stopped continues where it was."""

from __future__ import annotations

import copy
import io
import logging
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.records.unfinished import unfinished
from benchmarks.terminal.errors import naming
from benchmarks.training import machine
from benchmarks.training.checkpoint_check import check_state
from benchmarks.training.loop import Loop
from benchmarks.training.randomness import random_state, set_random_state

log = logging.getLogger(__name__)


class Checkpoint:
    """A run's checkpoint file, replaced atomically, removed once the record is written.

    The file holds the run's id, with the configuration's hash in it, a hash of the suite's code and the libraries'
    versions, so a run only ever continues one that computed the same.

    Args:
        path: where it lies.
        run_id: whose it is.
        every_seconds: how much training a `kill -9` may cost. Interrupts cost the step in progress only.
    """

    def __init__(self, path: Path, run_id: str = "", every_seconds: float = 60.0) -> None:
        self.path, self._run_id = path, run_id
        self._every = every_seconds
        self._saved = time.monotonic()

    def save_if_due(self, loop: Loop) -> None:
        """Save if the last save is long enough ago."""
        if time.monotonic() - self._saved >= self._every:
            self.save(loop)

    def save(self, loop: Loop) -> None:
        """Save the loop's state and the random generators; not counted as training time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = unfinished(self.path)
        with loop.clock_stopped():
            of = {"code": machine.source_hash(), "versions": machine.versions(), "run": self._run_id}
            state = {**of, "loop": loop.state_dict(), "random": random_state()}
            try:
                with naming(self.path):
                    _write(state, temporary)
                temporary.replace(self.path)
            finally:
                temporary.unlink(missing_ok=True)  # a full disk
        self._saved = time.monotonic()

    def restore(self, loop: Loop) -> bool:
        """Continue from the file if there is one that fits; one that does not is removed, with a warning.

        Raises:
            OSError, MemoryError, torch.OutOfMemoryError: it cannot be had now, but may be sound; it stays.
        """
        if not self.path.exists():
            return False
        fresh = copy.deepcopy(loop.state_dict()), random_state()
        file = io.BytesIO(self.path.read_bytes())  # a disk that does not answer is no damage; torch.load mixes the two
        try:
            state = _read(file)
            if state["code"] != machine.source_hash():
                raise ValueError("made by another version of the code")
            if state["versions"] != machine.versions():
                raise ValueError(f"made with other libraries, {state['versions']}")
            if state["run"] != self._run_id:
                raise ValueError(f"made by another run, {state['run']}")
            check_state(state["loop"], loop)
            _restore(loop, state["loop"], state["random"])
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # noqa: BLE001  (a damaged file can raise anything; training again is always right)
            reason = str(error).partition("\n")[0] or type(error).__name__
            log.warning("%s: cannot continue from this checkpoint (%s); starting from the beginning", self.path, reason)
            _restore(loop, *fresh)
            self.remove()
            return False
        return True

    def remove(self) -> None:
        """The run is recorded: the checkpoint has done its work."""
        self.path.unlink(missing_ok=True)


def _write(state: dict[str, Any], path: Path) -> None:
    """Write a new file, whose errors are those of the disk: PyTorch says something about positions instead."""
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _read(file: io.BytesIO) -> Any:
    """Read a file of `_write`. PyTorch ignores its own checksums: a run would go on from whatever damage has left."""
    if (damaged := zipfile.ZipFile(file).testzip()) is not None:
        raise ValueError(f"{damaged} in it is damaged")
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


def _restore(loop: Loop, state: dict[str, Any], generators: dict[str, Any]) -> None:
    loop.load_state_dict(state)
    set_random_state(generators)
