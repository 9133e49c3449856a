"""The part of a run that a search may know: its validation metrics.

A run's record holds its test metrics too. :func:`blind` takes them away where records enter a search: nothing behind
it, neither the ranking nor what is shown while and after the runs, can see them.
"""

from __future__ import annotations

import dataclasses

from benchmarks.records.record import Record

_PREFIX = "valid_"


def blind(record: Record) -> Record:
    """``record`` with its validation metrics only; its primary metric is that of validation."""
    kept = {name: value for name, value in record.metrics.items() if name.startswith(_PREFIX)}
    return dataclasses.replace(record, metrics=kept, primary_metric=validation_metric(record.primary_metric))


def validation_metric(primary: str) -> str:
    """The validation split's counterpart of a task's metric; language tasks are judged by it in the first place."""
    return primary if primary.startswith(_PREFIX) else f"{_PREFIX}{primary}"
