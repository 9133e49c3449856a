"""What a record says of the machine."""

from __future__ import annotations

import gc
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks.training import machine
from benchmarks.training.machine import PeakMemory, libc_call, tune_process

MEGABYTE = 250_000  # numbers in fp32


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists() or not libc_call("malloc_trim", 0),
    reason="no glibc, or no mark to reset",
)
def test_what_an_earlier_run_has_freed_is_not_in_a_runs_peak():
    """A worker kept its largest run's memory, so every later method seemed to need as much."""
    tune_process(torch.get_num_threads())
    earlier = [torch.ones(MEGABYTE) for _ in range(500)]
    large = PeakMemory(torch.device("cpu")).megabytes()
    del earlier
    gc.collect()
    small = PeakMemory(torch.device("cpu")).megabytes()
    assert large - small > 400


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one committed file in each folder of sources, and in two others."""
    if not shutil.which("git"):
        pytest.skip("no git")
    for folder in ("benchmarks", "datasets", "dfa_core", "conf", "results", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").touch()
    own = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", *own, *arguments], cwd=tmp_path, check=True)
    monkeypatch.setattr(machine, "_REPOSITORY", tmp_path)
    yield tmp_path
    machine.code.cache_clear()


@pytest.mark.parametrize("name", ["benchmarks/file", "dfa_core/more/file", "conf/file", "datasets/added"])
def test_changed_code_and_settings_are_told(checkout, name):
    machine.code.cache_clear()
    assert machine.code()["dirty"] is False
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed")
    machine.code.cache_clear()
    assert machine.code()["dirty"] is True


@pytest.mark.parametrize("name", ["results/file", "docs/file", ".venv", "notes.txt"])
def test_what_no_run_reads_is_no_change_of_the_code(checkout, name):
    """A link to an environment, or notes, marked every record as one of changed code."""
    (checkout / name).write_text("changed")
    machine.code.cache_clear()
    assert machine.code()["dirty"] is False
