"""The last measurements of a run: test metrics of the best weights, alignment, cost."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

from benchmarks.records.record import Record
from benchmarks.training.alignment import add_alignment, has_alignment
from benchmarks.training.loop import Loop


def finalize_record(record: Record, loop: Loop, alignment: bool) -> None:
    """Put what the finished ``loop`` found into its record: metrics, alignment if asked for, cost."""
    progress, task, method = loop.progress, loop.task, loop.method
    if progress.diverged:
        record.status, record.reason = "diverged", "the training loss or a validation metric is not finite"
    started = time.perf_counter()
    if alignment and not progress.diverged and has_alignment(method):
        add_alignment(record, task, method)
    measured = time.perf_counter()
    if loop.best_weights:  # a run that diverged before its first evaluation has nothing to test
        _add_test(record, loop)
    record.budget = {"epochs": progress.epoch, "steps": progress.step}
    record.train_seconds = round(progress.train_seconds, 4)
    record.eval_seconds = round(progress.eval_seconds + time.perf_counter() - measured, 4)
    record.alignment_seconds = round(progress.alignment_seconds + measured - started, 4)
    if progress.compile_seconds:
        record.hardware["compile_seconds"] = round(progress.compile_seconds, 4)
    record.samples_per_second = round(progress.samples / max(progress.train_seconds, 1e-9), 2)
    record.parameters = sum(p.numel() for p in task.model.parameters())
    record.finished = datetime.now(UTC).isoformat(timespec="seconds")


def _add_test(record: Record, loop: Loop) -> None:
    """Test metrics of the best weights; one that is not finite is left out, and the run has diverged."""
    tested = loop.test()
    found = {**loop.progress.best_metrics, **tested}
    if unfit := [name for name, value in found.items() if not math.isfinite(value)]:
        record.status, record.reason = "diverged", f"not finite: {', '.join(unfit)}"
    record.metrics |= {name: value for name, value in found.items() if name not in unfit}
