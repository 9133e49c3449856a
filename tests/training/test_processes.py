"""Several processes that share every batch train as one process with all of it; or one line says why not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from benchmarks.settings.schema import HardwareConfig
from benchmarks.terminal.errors import UsageError
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.processes import Processes
from tests import REPOSITORY
from tests.helpers.runs import build
from tests.started_processes import outcomes_of, shared_folder
from tests.training import process_cases as cases
from tests.training.process_cases import CASES, REFUSED, RESUMED, WORLDS

EACH = [(name, world) for world, names in WORLDS.items() for name in names]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, worker_id):
    """By number of processes: what each rank found."""

    def leave_checkpoint(folder):
        started = cases.loop_of(RESUMED)
        started.step(next(iter(started.task.batches(0))))
        Checkpoint(folder / "checkpoint.pt").save(started)

    return outcomes_of(cases.process, tuple(WORLDS), tmp_path_factory, worker_id, leave_checkpoint)


@pytest.fixture(scope="module")
def alone():
    """What one process finds, by case."""
    return {name: cases.steps(name) for name in CASES}


@pytest.mark.parametrize(("name", "world"), EACH)
def test_they_train_as_one_process_does(outcomes, alone, name, world):
    """Losses, gradients, weights and running statistics; the ranks agree bit for bit."""
    expected, first = alone[name], outcomes[world][0][name]
    for other in outcomes[world][1:]:
        torch.testing.assert_close(other[name], first, rtol=0, atol=0)
    rough = "bf16" in name
    assert first["losses"] == pytest.approx(expected["losses"], rel=2e-2 if rough else 1e-4)
    assert first["gradients"].keys() == expected["gradients"].keys()
    for parameter, gradient in expected["gradients"].items():
        error = (first["gradients"][parameter] - gradient).norm() / gradient.norm().clamp(min=1e-3)
        assert error < (5e-2 if rough else 1e-4), f"{parameter} is off by {error:.1e}"
    for key, value in expected["state"].items():
        if "running" in key:
            torch.testing.assert_close(first["state"][key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_they_cannot_do_is_refused(outcomes, name, world):
    """Without it each process would train on statistics, labels or feedback of its own."""
    assert all(REFUSED[name][2] in found[name] for found in outcomes[world])


@pytest.mark.parametrize(
    ("task", "method", "reason"),
    [("citation/gcn_cora", "bp", "cannot be divided"), ("mnist/mlp", "drtp", "in one process")],
)
def test_batches_that_are_one_whole_are_refused(folder, task, method, reason):
    """Without it every process would train on the whole graph, or on the mean of its own labels."""
    run = build(task, method)
    with pytest.raises(ValueError, match=reason):
        Processes(0, 2).check(run.task, run.method, run.config.hardware)


def test_compiled_steps_of_several_processes_are_refused():
    """Batch norm is shared by modules that the compiled code would not see."""
    hardware = HardwareConfig("cpu", "fp32", compile=True)
    run = build("mnist/mlp", "dfa")
    with pytest.raises(UsageError, match=r"hardware\.compile=true: .* run it in one process"):
        Processes(0, 2).check(run.task, run.method, hardware)


@pytest.mark.parametrize("world", WORLDS)
def test_a_stop_of_one_is_a_stop_of_all(outcomes, world):
    """Without it the others would wait without end for the one that was told to stop."""
    assert {found["stopped at"] for found in outcomes[world]} == {4}  # with the sums of the step after


def test_they_resume_what_one_process_saved(outcomes, tmp_path_factory, worker_id):
    """Without it a run could only go on in as many processes as it began in."""
    folder = shared_folder(cases.process, tmp_path_factory, worker_id)
    expected = cases.go_on(RESUMED, folder / "checkpoint.pt")
    for found in outcomes.values():
        for key, value in expected.items():
            torch.testing.assert_close(found[0]["resumed"][key], value, rtol=1e-4, atol=1e-5)


def test_torchrun_writes_one_record(tmp_path):
    """The command as users type it."""
    arguments = ["task=mnist/mlp", "method=dfa", "profile=smoke", "data=standin", f"results={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "benchmarks.run", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("record: ") == 1
    (path,) = (tmp_path / "records").rglob("*.json")
    record = json.loads(path.read_text())
    assert record["hardware"]["processes"] == 2
    assert len(record["hardware"]["by_process"]["peak_memory_mb"]) == 2
    assert record["status"] == "ok"
    assert {"accuracy", "alignment_cosine_mean"} <= record["metrics"].keys()
