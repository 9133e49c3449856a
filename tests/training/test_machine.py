"""What a record says of the machine."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

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
