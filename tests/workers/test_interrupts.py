"""Ctrl-C in the moments in which workers start and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks.workers import pool
from benchmarks.workers.plan import Selection, plan
from benchmarks.workers.workload import work_through
from tests import REPOSITORY


def test_the_first_worker_sees_no_stop_either():
    """Python's resource tracker, which the first start brings with it, lifts the block: the worker printed a traceback
    and left a failed record."""
    code = """if True:
        import signal
        from multiprocessing import context, resource_tracker
        from benchmarks.workers.pool import Pool

        def start(process):
            resource_tracker.ensure_running()  # as `start` does, before it makes the process
            print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))

        context.SpawnProcess.start = start
        Pool(1, [])._start()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == ["True"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_was_stopped_before_it_was_ready_leaves_no_record(folder, number):
    (run,) = plan(Selection("smoke", ["citation/gcn_cora"], ["bp"], [0]))
    process = SimpleNamespace(join=lambda: None, exitcode=-number)
    worker = pool.Worker(process, SimpleNamespace(close=lambda: None), run)
    assert pool._died(worker).status == "interrupted" and not list(Path("results").rglob("*.json"))


def test_a_stop_while_the_workers_end_is_heard(folder, monkeypatch):
    """The command went on with the next study."""
    monkeypatch.setattr(pool.Pool, "stop", lambda self: os.kill(os.getpid(), signal.SIGINT))
    tally = work_through([], 1, [], Console(quiet=True))
    assert tally.stopped_by is not None
