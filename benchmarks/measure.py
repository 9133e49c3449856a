"""What a finished run is measured by: test metrics of the best weights, alignment, cost."""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime

import torch

from benchmarks.loop import Loop
from benchmarks.records import Record
from benchmarks.task import Task
from dfa_core import FeedbackError, FeedbackMethod, Method, measure_alignment, method_class

log = logging.getLogger(__name__)


def fill(record: Record, loop: Loop, alignment: bool) -> None:
    """Put what the finished ``loop`` found into its record: metrics, alignment if asked for, cost."""
    progress, task, method = loop.progress, loop.task, loop.method
    if progress.diverged:
        record.status, record.reason = "diverged", "the training loss or a validation metric is not finite"
    elif alignment and has_alignment(method):
        _add_alignment(record, task, method)
    started = time.perf_counter()
    if loop.best_weights:  # a run that diverged before its first evaluation has nothing to test
        _add_test(record, loop)
    record.budget = {"epochs": progress.epoch, "steps": progress.step}
    record.train_seconds = round(progress.train_seconds, 4)
    record.eval_seconds = round(progress.eval_seconds + time.perf_counter() - started, 4)
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


_NO_SIGNALS = method_class("shallow").signals


def has_alignment(method: Method) -> bool:
    """Whether the method sends signals that can be compared with backprop's gradients."""
    return isinstance(method, FeedbackMethod) and type(method).signals is not _NO_SIGNALS


def alignment_now(task: Task, method: FeedbackMethod) -> dict[str, float]:
    """Mean cosine at each feedback point in the middle of a training, which goes on as if nothing had been asked."""
    cuda = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    task.model.train()
    try:
        with torch.random.fork_rng(cuda):
            points = measure_alignment(method, task.alignment_loss).points
    except FeedbackError:  # a method of the user's own that sends no signals here; `fill` says so at the end
        return {}
    return {f"alignment_cosine_mean/{name}": c.mean().item() for name, c in points.items() if c.numel()}


def _add_alignment(record: Record, task: Task, method: FeedbackMethod) -> None:
    """Alignment with the weights the training ended with, dropout as in training (arXiv:2006.12878, appendix A)."""
    task.model.train()
    try:
        measured = measure_alignment(method, task.alignment_loss)
    except FeedbackError as error:  # a method of the user's own that sends no signals here
        log.warning("%s: no alignment: %s", record.run_id, error)
        return
    points = {name: c for name, c in measured.points.items() if c.numel() > 1 and bool(c.isfinite().all())}
    if next(iter(measured.points), None) not in points:
        return
    record.metrics["alignment_cosine_mean"] = measured.deepest.double().mean().item()
    record.metrics["alignment_cosine_std"] = measured.deepest.double().std().item()
    record.alignment = {
        "points": {
            name: {
                "mean": c.mean().item(),
                "std": c.std().item(),
                "samples": c.numel(),
                "quantiles": measured.quantiles(name),
            }
            for name, c in points.items()
        },
        "parameters": {name: cosine for name, cosine in measured.parameters.items() if math.isfinite(cosine)},
    }
