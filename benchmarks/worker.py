"""A sweep's worker: one process that imports PyTorch once and does one run after another."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.checkpoint import stop_signal
from benchmarks.compose import load_plugins
from benchmarks.execute import Busy, Run, claimed, execute, failed_record
from benchmarks.loop import Interrupted
from benchmarks.records import Record
from benchmarks.registry import architectures

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
    for architecture in architectures().values():
        architecture.build()  # the imports, once, before the first run's clock starts
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


def _perform(overrides: Sequence[str], stop_requested: Callable[[], bool]) -> Outcome:
    started = time.perf_counter()
    run = Run.plan(overrides)
    try:
        with claimed(run):
            record = run.finished_record() or _recorded(run, stop_requested)
    except Busy:
        return Outcome("busy")
    except Interrupted:
        return Outcome("interrupted")
    return Outcome(record.status, time.perf_counter() - started, record)


def _recorded(run: Run, stop_requested: Callable[[], bool]) -> Record:
    """Execute a run; whatever goes wrong in it becomes its record, so that the sweep goes on."""
    try:
        return execute(run, stop_requested)
    except Interrupted:
        raise
    except Exception as error:
        log.exception("%s failed", run.id)
        return failed_record(run, error)
