"""The run of this checkout that a record says it is: its settings, its hash, and whether its data are here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

from benchmarks.catalogue.methods import entry_behind
from benchmarks.records.record import Record
from benchmarks.terminal.errors import UsageError
from benchmarks.training.run import Run


def method_of(record: Record) -> str:
    """The registered method behind the name that the task gives it."""
    return entry_behind(record.method).name


def choices(record: Record) -> list[str]:
    """The arguments of ``benchmarks.run`` that plan the same run here."""
    source = {"real": "real", "stand-in": "standin"}.get(str(record.data.get("source", "")), "auto")
    return [
        *(f"task={record.task}", f"method={method_of(record)}", f"profile={record.profile}"),
        *(f"seed={record.seed}", f"data={source}"),
    ]


def hash_here(record: Record) -> str | None:
    """The hash that the same run has here; None where its data are not here.

    Raises:
        UsageError: there is no such task, method or profile.
    """
    try:
        return Run.plan(choices(record)).config_hash
    except UsageError:
        raise
    except ValueError:
        return None


def is_of_this_checkout(record: Record) -> bool:
    """Whether the same run would have the same settings here: an edited plugin's would not."""
    try:
        return hash_here(record) == record.config_hash
    except UsageError:
        return False


def unverified(records: Sequence[Record]) -> list[Record]:
    """Records whose data are not here, so that nobody can say whether they are those of the shipped task."""
    found: list[Record] = []
    for record in records:
        with suppress(UsageError):  # `problems_of` tells of it
            if hash_here(record) is None:
                found.append(record)
    return found


def cost(record: Record) -> float:
    """How long the run is, relative to others: the pack's own seconds may be invented."""
    try:
        return float(Run.plan(choices(record)).config.task.cost)
    except ValueError:
        return math.inf
