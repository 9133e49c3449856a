"""How long a run's steps took, and on what: what times may be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.records.record import Record


class Timing(NamedTuple):
    """The time of one run's steps, and what it depends on."""

    step_seconds: float  # mean over the run, training alone
    hardware: str  # in words
    commit: str  # of the code


def timing_of(record: Record) -> Timing | None:
    """The timing of ``record``; None where it does not say how many steps it took."""
    steps = record.budget.get("steps")
    if not steps:
        return None
    return Timing(record.train_seconds / steps, hardware_in_words(record.hardware), record.code.get("commit") or "")


def hardware_in_words(hardware: Mapping[str, object]) -> str:
    """Accelerator if it was used, processor, cores, threads, precision."""
    on_accelerator = hardware.get("device", "cpu") != "cpu"
    threads = hardware.get("threads", "?")
    parts = [
        *([str(hardware.get("accelerator", "unknown accelerator"))] if on_accelerator else []),
        str(hardware.get("processor", "unknown hardware")),
        f"{hardware.get('cores', '?')} cores",
        f"{threads} thread{'s' * (threads != 1)}",
        str(hardware.get("precision", "fp32")),
    ]
    return ", ".join(parts)
