"""Full disks, dead workers, other machines: what is sound stays, and nothing half-written is left."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path

import pytest
import torch

from benchmarks import run as run_command
from benchmarks import sweep as sweep_command
from benchmarks.records.record import iterate_records
from benchmarks.training import execute, machine
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.loggers import Loggers
from benchmarks.training.randomness import random_state
from benchmarks.tune.__main__ import main as tune_main
from benchmarks.workers import worker
from benchmarks.workers.heartbeat import Heartbeat
from benchmarks.workers.plan import QueuedRun, Selection, plan
from benchmarks.workers.pool import Pool, Queue, Worker
from tests import REPOSITORY
from tests.helpers.toy_task import make_loop

TWO_EPOCHS = Selection("smoke", ["citation/gcn_cora"], ["bp"], [0], ["task.epochs=2"])


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("torch.load", MemoryError()),
        ("torch.load", torch.OutOfMemoryError("out of memory")),
        ("pathlib.Path.read_bytes", PermissionError("not allowed")),
        ("pathlib.Path.read_bytes", OSError(errno.EIO, "Input/output error")),
    ],
)
def test_a_checkpoint_that_cannot_be_read_now_stays(where, error, tmp_path, monkeypatch):
    """Else a crowded machine or a network drive that hangs would cost days of training."""

    def raising(*arguments, **options):
        raise error

    loop, checkpoint = make_loop("bp"), Checkpoint(tmp_path / "run.pt")
    checkpoint.save(loop)
    monkeypatch.setattr(where, raising)
    with pytest.raises(type(error)):
        checkpoint.restore(loop)
    assert checkpoint.path.exists()


def test_a_checkpoint_is_read_into_main_memory(tmp_path, monkeypatch):
    """Else one of a GPU run would be read to the GPU, beside the model that it is for."""
    seen = {}
    original = torch.load
    monkeypatch.setattr(torch, "load", lambda file, **options: seen.update(options) or original(file, **options))
    loop, checkpoint = make_loop("bp"), Checkpoint(tmp_path / "run.pt")
    checkpoint.save(loop)
    assert checkpoint.restore(loop) and seen["map_location"] == "cpu"


def test_a_checkpoint_that_does_not_fit_the_disk_leaves_nothing(tmp_path, monkeypatch):
    """Else each try would fill the disk by one more file that nobody removes."""

    def half(state, file):
        file.write(b"half")
        full()

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space left"):
        Checkpoint(tmp_path / "run.pt").save(make_loop("bp"))
    assert list(tmp_path.iterdir()) == []


def test_the_code_is_hashed_when_it_is_loaded():
    """Else an edit during a run would stamp its checkpoint with code that did not make it."""
    digest = hashlib.sha256()
    for package in ("benchmarks", "datasets", "dfa_core"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            digest.update(path.read_bytes())
    code = (
        "import pathlib, sys; from benchmarks.training import machine; "
        "machine._REPOSITORY = pathlib.Path('edited'); sys.stdout.write(machine.source_hash())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout == digest.hexdigest()[:12]


def test_a_run_on_the_cpu_leaves_the_gpu_alone(monkeypatch):
    """Else every worker of a CPU sweep would take some hundred MB of GPU memory, and seconds to start."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    for name in ("get_device_name", "get_rng_state_all"):
        monkeypatch.setattr(torch.cuda, name, lambda *arguments: pytest.fail("initialised CUDA"))
    machine.hardware.cache_clear()
    assert machine.hardware("cpu")["accelerator"] == "none" and random_state()["cuda"] == []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H")
    assert machine.hardware("cuda")["accelerator"] == "H"
    machine.hardware.cache_clear()


@pytest.mark.parametrize(("platform", "megabytes"), [("linux", 2048.0), ("darwin", 2.0)])
def test_peak_memory_in_the_units_of_the_system(platform, megabytes, monkeypatch):
    """macOS counts bytes: a thousandfold too much would stand in the cost table."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrusage", lambda who: type("Usage", (), {"ru_maxrss": 2 * 2**20}))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "exists", lambda path: False)  # no /proc
    assert machine.resident_peak() == megabytes
    monkeypatch.setitem(sys.modules, "resource", None)  # Windows has no such module
    assert machine.resident_peak() == 0.0


def test_a_finished_record_outlives_what_fails_after_it(folder, monkeypatch):
    """Else a logger's last call would turn a result into a failure, and the run would be done again."""
    (run,) = plan(TWO_EPOCHS)

    def broken(loggers, record):
        raise RuntimeError("boom")

    monkeypatch.setattr(Loggers, "finish", broken)
    assert worker.perform(run.overrides, lambda: False, Heartbeat()).status == "ok"
    assert [record.status for record in iterate_records(Path("results/records"))] == ["ok"]
    (trace,) = Path("results/work/failures").rglob("*.txt")
    assert "boom" in trace.read_text()


def test_a_traceback_that_does_not_fit_the_disk_costs_the_run_only(folder, monkeypatch):
    """Else it would end the worker, and hide what had gone wrong in the run."""
    (run,) = plan(TWO_EPOCHS)

    def broken(*arguments, **options):
        raise RuntimeError("boom")

    monkeypatch.setattr(worker, "execute", broken)
    monkeypatch.setattr(worker, "write_atomically", full)
    assert worker.perform(run.overrides, lambda: False, Heartbeat()).record.reason == "RuntimeError: boom"


def test_a_full_disk_ends_a_sweep_in_one_line(command, monkeypatch):
    """Else a traceback of the pool's inside would be all that somebody sees."""
    monkeypatch.setattr(sweep_command, "sweep", full)
    done = command(sweep_command.main)("profile=smoke", "tasks=citation/gcn_cora", "methods=bp", "results=out")
    assert (done.code, done.out) == (2, "") and done.err == "error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("arguments", [(), ("-m",)])
def test_a_full_disk_ends_a_run_in_one_line(arguments, command, monkeypatch):
    """Hydra would add a line of its own, or its traceback."""
    monkeypatch.setattr(execute, "execute", full)
    done = command(run_command.main)(*arguments, "task=citation/gcn_cora", "profile=smoke", "results=out")
    assert (done.code, done.out) == (2, "") and done.err == "error: [Errno 28] No space left on device\n"


def test_a_bug_in_a_run_shows_its_traceback(command, monkeypatch):
    """What is caught too broadly is never found: a wrong index would read like a typo of the user's."""

    def wrong(*arguments, **options):
        return [][1]

    monkeypatch.setattr(execute, "execute", wrong)
    with pytest.raises(IndexError):
        command(run_command.main)("task=citation/gcn_cora", "profile=smoke", "results=out")


class Process:
    """A worker's process, alive or not."""

    def __init__(self, alive):
        self.is_alive = lambda: alive


def test_a_dead_worker_is_given_nothing(monkeypatch):
    """Else its next run would be recorded as failed without having started."""
    workers = Pool(1, [])
    (first, _kept), (second, _open) = Pipe(), Pipe()  # what is sent arrives, whoever is there to read it
    new = Worker(Process(True), second)
    monkeypatch.setattr(workers, "_start", lambda: new)
    workers._workers = [Worker(Process(False), first)]
    run = QueuedRun("task", "bp", 0, ("seed=0",), "id", 1.0, False)
    workers.hand_out(Queue([run]))
    assert new.run is run and workers._workers[0].run is None

    ours, theirs = Pipe()
    theirs.close()  # it dies between the question and the sending
    workers._workers = [Worker(Process(True), ours)]
    queue = Queue([run])
    workers.hand_out(queue)
    assert list(queue) == [run] and workers.busy == []


@pytest.mark.parametrize("main", [sweep_command.main, tune_main])
def test_a_folder_that_cannot_be_written_to_is_found_before_anything_runs(main, command):
    """Every run would fail, one after the other, and the last line would say that there is no such folder."""
    Path("file").write_text("")
    own = ["tasks=citation/gcn_cora", "seeds=1"]
    if main is tune_main:
        own = ["task=citation/gcn_cora", "trials=2"]
    done = command(main)("profile=smoke", "methods=bp", "results=file", *own)
    said = "results=file: no folder that runs can be written to (Not a directory); name another"
    assert done.code == 2 and done.err == f"error: {said}\n"
