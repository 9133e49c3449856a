"""A worker's message to its sweep about a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import paths
from benchmarks.records.record import Record
from benchmarks.workers.heartbeat import SILENT, Pulse


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run. ``status`` is a record's, or ``busy`` (another sweep has it) or ``interrupted``."""

    status: str
    seconds: float = 0.0
    record: Record | None = None
    pulse: Pulse = SILENT  # how far it came
    trouble: str = ""  # why there is no record of a run that failed


def failures(results: Path) -> Path:
    """The folder that keeps the tracebacks of failed runs."""
    return paths.work(results) / "failures"
