"""The capacity of this machine: processor, cores and memory. Without PyTorch, which takes seconds to import."""

from __future__ import annotations

import math
import os
import platform
import shutil
from pathlib import Path

#: Threads or processes for each core; more only take turns.
PER_CORE = 8
#: Any of these will do for torch.compile on a CPU.
COMPILERS = ("g++", "clang++")


def processor() -> str:
    """The processor's name, as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def most_threads() -> int:
    """More threads or processes than these slow everything down, and far more bring the system down."""
    return PER_CORE * cores()


def has_compiler() -> bool:
    """Whether there is a C++ compiler, in the path or named by the variable CXX."""
    return any(shutil.which(name) for name in (os.environ.get("CXX"), *COMPILERS) if name)


def memory() -> float:
    """Bytes of main memory; infinity where the system does not tell (Windows)."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf
