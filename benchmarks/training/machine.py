"""A record's circumstances: versions, hardware, the code's commit, peak memory."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.records.record import Code
from benchmarks.settings import capacity

_REPOSITORY = Path(__file__).parents[2]
_LIBRARIES = ("torch", "torch-geometric", "numpy", "hydra-core")
#: Folders of the code that computes results.
_SOURCES = ("benchmarks", "datasets", "dfa_core")


@cache
def versions() -> dict[str, str]:
    """Python's and the main libraries' versions."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


@cache
def hardware(device: str = "cuda") -> dict[str, str | int]:
    """Processor, cores, and the accelerator that a run on ``device`` uses, if any."""
    # Asking for the name initialises CUDA: some hundred MB of GPU memory, which a run on the CPU need not take.
    accelerator = torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else "none"
    return {"processor": capacity.processor(), "cores": os.cpu_count() or 0, "accelerator": accelerator}


@cache
def code() -> Code:
    """The working tree's commit, and whether code or settings differ from it; None where git does not tell."""
    changes = _git("status", "--porcelain", "--", *_SOURCES, "conf")
    return {"commit": _git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


@cache
def source_hash() -> str:
    """Hash of the code that computes results: engine, data and benchmarks, as it was when this module was loaded."""
    digest = hashlib.sha256()
    for package in _SOURCES:
        for path in sorted((_REPOSITORY / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


source_hash()  # now: later the files may no longer be what this process has loaded


def torch_device(name: str) -> torch.device:
    """The device a run takes place on.

    Raises:
        ValueError: it is not there; one line that says how to get it.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("hardware.device=cuda, but PyTorch finds no CUDA device here; use hardware=cpu")
    return torch.device(name)


def in_eager_mode(compiled: bool) -> AbstractContextManager[object]:
    """Run a ``compiled`` model in eager mode inside the block: else each shape of an evaluation would be compiled."""
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


class PeakMemory:
    """Peak resident memory of this process since construction, in MB.

    A worker runs many tasks in one process, which keeps what they have freed (`keep_freed_memory`): it is given back
    here, so that the peak is that of what comes next. Linux can restart the high-water mark; elsewhere the mark is
    that of the whole process.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        libc_call("malloc_trim", 0)
        marker = Path("/proc/self/clear_refs")
        if marker.exists():
            try:
                marker.write_text("5")
            except OSError:
                return  # not permitted in some containers: then the mark is the process's

    def megabytes(self) -> float:
        """The peak so far: of the accelerator's memory if there is one, else of the process."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        return resident_peak()


def resident_peak() -> float:
    """Peak resident memory of this process in MB, since it began or the mark was reset; 0 if the system does not tell.

    Linux's own mark comes first: in that of `resource` a parent's memory counts as well.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    mark = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return mark / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, kB elsewhere


def tune_process(threads: int) -> None:
    """Settings of the process that make CPU runs faster, and equal however a run is started."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # Adam's moments of rarely touched weights decay into slow denormal numbers
    keep_freed_memory()


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep what tensors free, as a caching allocator does on a GPU; did it agree?

    glibc gives large blocks (from 128 kB at first to above 32 MB) back to the kernel at once: each step of a CPU run
    then pays a page fault per 4 kB, which can cost more than the arithmetic. Other libraries are left as they are.
    """
    m_trim_threshold, m_mmap_max = -1, -4  # names in malloc.h
    # -1: never trim. The largest positive number is 2 GB, of which a step of a large model frees more.
    return libc_call("mallopt", m_mmap_max, 0) and libc_call("mallopt", m_trim_threshold, -1)


def libc_call(name: str, *arguments: int) -> bool:
    """Call a function of the C library; false if there is none of this name, or if it returns zero."""
    try:
        return bool(getattr(ctypes.CDLL(None), name)(*arguments))
    except (OSError, AttributeError, TypeError):  # TypeError: no name for the running program (Windows)
        return False


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_REPOSITORY, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
