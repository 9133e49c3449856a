"""A sweep's worker: one process that imports PyTorch once and does one run after another."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.catalogue.discovery import architectures
from benchmarks.records.record import Record, write_atomically
from benchmarks.settings.compose import load_plugins
from benchmarks.settings.overrides import results_named_in
from benchmarks.terminal.errors import kind_and_message
from benchmarks.terminal.signals import STOPPING
from benchmarks.training.execute import execute, failed_record
from benchmarks.training.interrupt import Interrupted, stop_signal
from benchmarks.training.run import Busy, Run, claimed
from benchmarks.workers.heartbeat import Heartbeat
from benchmarks.workers.outcome import Outcome, failures


def serve(connection: Connection, heartbeat: Heartbeat, plugins: Sequence[str], parent: int) -> None:
    """Do the runs that arrive as lists of overrides until the connection closes.

    A worker whose sweep was killed stops after the step in progress and leaves a checkpoint, so that the next
    sweep need not wait for it.
    """
    try:
        with stop_signal() as stop:
            accept_interrupts()
            trouble = _prepare(plugins)
            _serve(connection, heartbeat, lambda: stop.requested or os.getppid() != parent, trouble)
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return  # the sweep is gone, or Ctrl-C was pressed twice


def accept_interrupts() -> None:
    """Receive signals to stop; the pool blocks them while a worker starts and has no handler for them yet."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _prepare(plugins: Sequence[str]) -> BaseException | None:
    """Import the user's methods, once; returns what went wrong."""
    try:
        load_plugins(plugins)
    except Exception as error:  # noqa: BLE001  (a plugin can raise anything; each run is told of it)
        return error
    return None


def _serve(
    connection: Connection, heartbeat: Heartbeat, stop_requested: Callable[[], bool], trouble: BaseException | None
) -> None:
    while not stop_requested():
        overrides = connection.recv()
        if stop_requested():
            return
        connection.send(_failed(overrides, trouble) if trouble else perform(overrides, stop_requested, heartbeat))


def perform(overrides: Sequence[str], stop_requested: Callable[[], bool], heartbeat: Heartbeat) -> Outcome:
    """Do one run, unless it is recorded; whatever goes wrong in it is told by its outcome."""
    started = time.perf_counter()
    try:
        run = Run.plan(overrides)
        architectures()[run.config.task.architecture].build()  # imports its domain, and no other's libraries
        with claimed(run):
            record = run.reuse() or _recorded(run, stop_requested, heartbeat)
    except Busy:
        return Outcome("busy")
    except Interrupted:
        return Outcome("interrupted")
    except (Exception, SystemExit) as error:  # noqa: BLE001  (no record can be written: the disk is full, a file is gone)
        return _failed(overrides, error)
    return Outcome(record.status, time.perf_counter() - started, record, heartbeat.read())


def _recorded(run: Run, stop_requested: Callable[[], bool], heartbeat: Heartbeat) -> Record:
    """Execute a run; whatever goes wrong in it becomes its record, so that the sweep goes on.

    What goes wrong after the record was written (in a logger's last call, say) leaves that record as it is.
    """
    try:
        return execute(run, stop_requested, on_step=heartbeat.beats())
    except Interrupted:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a method of the user's own can raise anything, and exit)
        _keep_traceback(error, Path(run.config.results), run.id)
        return run.finished_record() or failed_record(run, error)


def _failed(overrides: Sequence[str], error: BaseException) -> Outcome:
    """The outcome of a run that leaves no record."""
    _keep_traceback(error, Path(results_named_in(overrides)), f"worker-{os.getpid()}")
    return Outcome("failed", trouble=kind_and_message(error))


def _keep_traceback(error: BaseException, results: Path, name: str) -> None:
    with suppress(OSError):  # a full disk; the error itself is what counts
        write_atomically(failures(results) / f"{name}.txt", "".join(traceback.format_exception(error)))
