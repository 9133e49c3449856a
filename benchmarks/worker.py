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

from benchmarks.compose import load_plugins
from benchmarks.execute import execute, failed_record
from benchmarks.interrupt import Interrupted, stop_signal
from benchmarks.outcome import Outcome, failures
from benchmarks.records import Record, write_atomically
from benchmarks.registry import architectures
from benchmarks.runs import Busy, Run, claimed


def serve(connection: Connection, plugins: Sequence[str], parent: int) -> None:
    """Do the runs that arrive as lists of overrides until the connection closes.

    A worker whose sweep was killed stops after the step in progress and leaves a checkpoint, so that the next
    sweep need not wait for it.
    """
    try:
        with stop_signal() as stop:
            accept_interrupts()
            load_plugins(plugins)
            for architecture in architectures().values():
                architecture.build()  # the imports, once, before the first run's clock starts
            _serve(connection, lambda: stop.requested or os.getppid() != parent)
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return  # the sweep is gone, or Ctrl-C was pressed twice


def accept_interrupts() -> None:
    """Receive Ctrl-C again; the pool blocks it while a worker starts and has no handler for it yet."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _serve(connection: Connection, stop_requested: Callable[[], bool]) -> None:
    while not stop_requested():
        overrides = connection.recv()
        if stop_requested():
            return
        connection.send(_perform(overrides, stop_requested))


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
    """Execute a run; whatever goes wrong in it becomes its record, so that the sweep goes on.

    What goes wrong after the record was written (in a logger's last call, say) leaves that record as it is.
    """
    try:
        return execute(run, stop_requested)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001
        with suppress(OSError):  # a full disk; the error itself is what counts
            write_atomically(failures(Path(run.config.results)) / f"{run.id}.txt", traceback.format_exc())
        return run.finished_record() or failed_record(run, error)
