"""Runs of a pack made again here, and what came out otherwise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import SystemRandom

from benchmarks.records import metrics
from benchmarks.records.record import Record
from benchmarks.settings.quoting import quoted
from benchmarks.statistics.comparison import CONTROL, REFERENCE
from benchmarks.submit import planned
from benchmarks.terminal.errors import UsageError, kind_and_message
from benchmarks.training.execute import execute
from benchmarks.training.run import Run

#: Statuses of runs that came to an end of their own.
_ENDED = ("ok", "diverged")


def to_repeat(records: Sequence[Record], count: int) -> list[Record]:
    """``count`` runs of each method, and as many of those that diverged, whose data are here.

    Those of backprop and shallow, too: a gap closed also grows if backprop is made worse. And diverged ones: a run of
    which a bad number was removed would raise the mean of the others. Runs of the shortest tasks are taken, as this
    checkout has them, and of these any: whoever made the pack must not know which.

    Raises:
        UsageError: the data of none of these runs are here; one line.
    """
    ended = [record for record in records if record.status in _ENDED]
    absent = {record.run_id for record in planned.unverified(ended)}
    by_method: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in sorted(SystemRandom().sample(ended, len(ended)), key=planned.cost):
        by_method[planned.method_of(record), record.status] += [record] if record.run_id not in absent else []
    own = [here for (method, _), here in by_method.items() if method not in (REFERENCE, CONTROL)]
    if own and not any(own):
        raise UsageError(
            "no run of the method can be repeated, since their data are not here: fetch them, or --rerun 0"
        )
    return [one for here in by_method.values() for one in here[:count]]


def repeat(records: Sequence[Record], results: Path) -> Iterator[str]:
    """Run each again; yields what came out otherwise.

    A stranger's method may raise anything, or end the program, whose exit code would pass for a verdict.
    """
    for record in records:
        try:
            again = execute(Run.plan([*planned.choices(record), f"results={quoted(str(results))}"]))
        except (OSError, MemoryError):  # the machine's fault
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001
            yield f"{record.run_id}: it cannot be run here ({kind_and_message(error)})"
            continue
        if problem := _differing(record, again):
            yield f"{record.run_id}: {problem}"


def _differing(record: Record, again: Record) -> str:
    """The first difference between a run and its repetition, in half a line; "" if there is none."""
    if again.status != record.status:
        return f"it is {record.status} in the pack and {again.status} when it is run here"
    if record.status != "ok":
        return ""
    for name in sorted(
        record.metrics.keys() | again.metrics.keys(), key=lambda one: (one != again.primary_metric, one)
    ):
        claimed, found = record.metrics.get(name, math.nan), again.metrics.get(name, math.nan)
        if not abs(found - claimed) <= metrics.lookup(name).tolerance("rerun_tolerance", claimed):
            return f"{name} is {_told(claimed)} in the pack and {_told(found)} when it is run here"
    return ""


def _told(value: float) -> str:
    return "absent" if math.isnan(value) else f"{value:g}"
