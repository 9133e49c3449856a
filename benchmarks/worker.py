"""A sweep's worker: one process that imports PyTorch once and does one run after another."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from filelock import FileLock, Timeout

from benchmarks.checkpoint import stop_signal
from benchmarks.compose import load_plugins
from benchmarks.execute import Interrupted, Run, execute, failed_record
from benchmarks.records import Record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a run. ``status`` is a record's, or ``busy`` (another sweep has it) or ``interrupted``."""

    status: str
    seconds: float = 0.0
    record: Record | None = None


def serve(connection: Connection, plugins: Sequence[str], parent: int) -> None:
    """Do the runs that arrive as lists of overrides until the connection closes.

    A worker whose sweep was killed stops after the step in progress and leaves a checkpoint, so that the next
    sweep need not wait for it.
    """
    load_plugins(plugins)
    with stop_signal() as stop:
        while not stop.requested:
            try:
                overrides = connection.recv()
            except (EOFError, KeyboardInterrupt):
                return
            outcome = _perform(overrides, lambda: stop.requested or os.getppid() != parent)
            try:
                connection.send(outcome)
            except BrokenPipeError:
                return


def _perform(overrides: Sequence[str], stop_requested: object) -> Outcome:
    started = time.perf_counter()
    run = Run.plan(overrides)
    lock = Path(run.config.results) / "work" / "locks" / f"{run.id.replace('/', '__')}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):  # released by the system if this process dies
            record = run.finished_record() or _recorded(run, stop_requested)
    except Timeout:
        return Outcome("busy")
    except Interrupted:
        return Outcome("interrupted")
    return Outcome(record.status, time.perf_counter() - started, record)


def _recorded(run: Run, stop_requested: object) -> Record:
    """Execute a run; whatever goes wrong in it becomes its record, so that the sweep goes on."""
    try:
        return execute(run, stop_requested)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001  (the boundary between one run and all the others)
        log.exception("%s failed", run.id)
        return failed_record(run, error)
