"""A sweep's worker processes: started when needed, replaced when they die, stopped at the end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from benchmarks.terminal.errors import kind_and_message
from benchmarks.terminal.signals import STOPPING
from benchmarks.training.run import Busy, Run, claimed
from benchmarks.workers.heartbeat import Heartbeat
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun
from benchmarks.workers.time_left import InProgress

_BUSY_PAUSE = 1.0  # seconds before asking again for a run that another sweep has


class Queue:
    """The runs that wait, in order; one that cannot be had now comes back after a pause."""

    def __init__(self, runs: Iterable[QueuedRun], pause: float = _BUSY_PAUSE) -> None:
        self._ready = deque(runs)
        self._later: deque[tuple[float, QueuedRun]] = deque()
        self._pause = pause

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    def __iter__(self) -> Iterator[QueuedRun]:
        yield from self._ready
        yield from (run for _, run in self._later)

    def take(self) -> QueuedRun | None:
        """The next run, or ``None`` if none is to be had now."""
        while self._later and self._later[0][0] <= time.monotonic():
            self._ready.append(self._later.popleft()[1])
        return self._ready.popleft() if self._ready else None

    def put_back(self, run: QueuedRun) -> None:
        """Ask for this run again later."""
        self._later.append((time.monotonic() + self._pause, run))


@dataclass
class Worker:
    """A worker process and what it does."""

    process: BaseProcess
    connection: Connection
    run: QueuedRun | None = None
    since: float = 0.0
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    is_new: bool = True  # its first run waits until it has started


class Pool:
    """Up to ``jobs`` workers; to be closed by :meth:`stop`."""

    def __init__(self, jobs: int, plugins: Sequence[str]) -> None:
        self._jobs, self._plugins = jobs, list(plugins)
        self._workers: list[Worker] = []

    @property
    def busy(self) -> list[InProgress]:
        """The runs in progress."""
        now = time.monotonic()
        return [
            InProgress(worker.run, now - worker.since, worker.heartbeat.read(), worker.is_new)
            for worker in self._workers
            if worker.run is not None
        ]

    def hand_out(self, queue: Queue) -> None:
        """Give waiting runs to idle workers, starting workers where there are too few."""
        while len(self.busy) < self._jobs and (run := queue.take()) is not None:
            idle = (w for w in self._workers if w.run is None and w.process.is_alive())
            worker = next(idle, None) or self._start()
            worker.heartbeat.clear()
            try:
                worker.connection.send(run.overrides)
            except (BrokenPipeError, ConnectionResetError):  # it has just died: `collect` notices
                queue.put_back(run)
                return
            worker.run, worker.since = run, time.monotonic()

    def collect(self) -> list[tuple[QueuedRun, Outcome]]:
        """The outcomes of finished runs, after at most half a second. The run of a worker that died has failed."""
        collected = []
        ready = set(wait([worker.connection for worker in self._workers], timeout=0.5))
        for worker in [w for w in self._workers if w.connection in ready]:
            run = worker.run
            try:
                outcome = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                self._workers.remove(worker)
                outcome = _died(worker)
            worker.run, worker.is_new = None, False
            if run is not None:
                collected.append((run, outcome))
        return collected

    def stop(self) -> None:
        """End all workers: idle ones when their connection closes, busy ones once they have saved a checkpoint."""
        for worker in self._workers:
            if worker.run is not None and worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGTERM)
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join()

    def _start(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        heartbeat = Heartbeat()
        process = context.Process(target=_work, args=(theirs, heartbeat, self._plugins, os.getpid()), daemon=True)
        resource_tracker.ensure_running()  # the first start would do it, and lift the block before the worker is there
        with _interrupts_blocked():
            process.start()
        theirs.close()
        self._workers.append(Worker(process, ours, heartbeat=heartbeat))
        return self._workers[-1]


def _work(connection: Connection, heartbeat: Heartbeat, plugins: Sequence[str], parent: int) -> None:
    """A worker's whole life. PyTorch is imported here, so the sweep itself does without."""
    try:
        from benchmarks.workers.worker import serve
    except (ImportError, OSError) as error:  # a library that is not there, or does not fit this machine
        with suppress(EOFError, OSError):  # the sweep is gone
            connection.recv()
            connection.send(Outcome("failed", trouble=f"the worker did not start: {kind_and_message(error)}"))
        return
    serve(connection, heartbeat, plugins, parent)


def _died(worker: Worker) -> Outcome:
    """Record the run of a dead worker as failed, unless its record was written just before, or it was told to stop."""
    from benchmarks.training.execute import failed_record

    worker.connection.close()
    worker.process.join()
    seconds, code = time.monotonic() - worker.since, worker.process.exitcode
    if code in [-number for number in STOPPING]:
        return Outcome("interrupted")
    if worker.run is None:
        return Outcome("failed")
    error = RuntimeError(f"the worker process ended with exit code {code} (-9: killed, perhaps for lack of memory)")
    run = Run.plan(worker.run.overrides)
    try:
        with claimed(run):
            record = run.reuse() or failed_record(run, error)
    except Busy:
        return Outcome("busy")
    return Outcome(record.status, seconds, record)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process started here sees no signal to stop until it is ready for it (`worker.accept_interrupts`)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
