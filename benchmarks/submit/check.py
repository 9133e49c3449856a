"""Verify a pack of somebody else's runs: what can be recomputed is, and what was altered is rejected."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import Any

from benchmarks.catalogue.discovery import TUNED, domains
from benchmarks.catalogue.methods import entry_behind, known_methods
from benchmarks.records import metrics
from benchmarks.records.cells import LARGEST
from benchmarks.records.inputs import LeftOut
from benchmarks.records.packs import read_pack
from benchmarks.records.record import Record, hash_config
from benchmarks.settings.neutral import without_neutral
from benchmarks.settings.quoting import quoted
from benchmarks.statistics.comparison import CONTROL, REFERENCE
from benchmarks.terminal.errors import UsageError, kind_and_message
from benchmarks.terminal.names import shown
from benchmarks.training.execute import execute
from benchmarks.training.run import Run

#: Statuses of runs that came to an end of their own.
_ENDED = ("ok", "diverged")
#: Seeds that a task needs of the method and of both that it is compared with.
SEEDS = 3


def problems_of(pack: Path) -> tuple[list[Record], list[str]]:
    """The records of a pack, and everything that can be seen to be wrong with them without running anything."""
    with LeftOut() as left_out:
        records = read_pack(pack, left_out.add)
    unreadable = ["lines of the pack cannot be read: see above"] if left_out else []
    return records, [*unreadable, *_altered(records), *_incomplete(records)]


def unknown_methods(records: Sequence[Record]) -> list[str]:
    """Methods of the records that are not registered here."""
    return sorted({name for record in records if (name := _base(record)) not in known_methods()})


def to_repeat(records: Sequence[Record], count: int) -> list[Record]:
    """``count`` runs of each method, and as many of those that diverged, whose data are here.

    Those of backprop and shallow, too: a gap closed also grows if backprop is made worse. And diverged ones: a run of
    which a bad number was removed would raise the mean of the others. Runs of the shortest tasks are taken, as this
    checkout has them, and of these any: whoever made the pack must not know which.

    Raises:
        UsageError: the data of none of these runs are here; one line.
    """
    ended = [record for record in records if record.status in _ENDED]
    absent = {record.run_id for record in unverified(ended)}
    by_method: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in sorted(SystemRandom().sample(ended, len(ended)), key=_cost):
        by_method[_base(record), record.status] += [record] if record.run_id not in absent else []
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
            again = execute(Run.plan([*_choices(record), f"results={quoted(str(results))}"]))
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


def _altered(records: Sequence[Record]) -> Iterator[str]:
    """Each record against its own hash, and against what this checkout would run."""
    for record in records:
        if problem := _problem(record):
            yield f"{record.run_id}: {problem}"


def _problem(record: Record) -> str:
    """The first thing that is wrong with a record by itself, in half a line; "" if there is none."""
    if own_hash(record) != record.config_hash:
        return "its settings are not those that its hash was made of"
    if wrong := contradiction(record):
        return wrong
    if record.variant:
        return f"it ran with other settings than the shipped ones ({record.variant})"
    if wrong := impossible(record):
        return wrong
    try:
        planned = _planned_hash(record)
    except UsageError as error:
        return f"this version of the suite cannot run it ({error})"
    if planned not in (None, record.config_hash):
        return f"this version of the suite would run it with other settings or data ({planned})"
    return ""


def impossible(record: Record) -> str:
    """The first metric that nothing measures here, or that cannot have its value, in half a line; "" if there is none.

    Of a run that is ok, also a primary metric that is absent or so large that tables would count the run as diverged.
    """
    for name, value in sorted(record.metrics.items()):
        if not metrics.is_known(name):
            return metrics.unknown(name)
        metric = metrics.lookup(name)
        if not metric.can_be(value):
            return f"{name} is {value:g}, and it lies from {metric.minimum:g} to {metric.maximum:g}"
    primary = record.primary_metric
    if record.status != "ok":
        return ""
    if primary not in record.metrics:
        return f"it has no {primary or 'metric'}"
    return "" if abs(record.metrics[primary]) < LARGEST else f"it is ok, and its {primary} {record.metrics[primary]:g}"


def is_of_this_checkout(record: Record) -> bool:
    """Whether the same run would have the same settings here: an edited plugin's would not."""
    try:
        return _planned_hash(record) == record.config_hash
    except UsageError:
        return False


def unverified(records: Sequence[Record]) -> list[Record]:
    """Records whose data are not here, so that nobody can say whether they are those of the shipped task."""
    found: list[Record] = []
    for record in records:
        with suppress(UsageError):  # `problems_of` tells of it
            if _planned_hash(record) is None:
                found.append(record)
    return found


def own_hash(record: Record) -> str | None:
    """The hash of the settings that a record holds; None where they are no settings of a run."""
    try:
        return hash_config(without_neutral(record.config))
    except (AttributeError, KeyError, TypeError):  # a stranger's pack may hold anything
        return None


def contradiction(record: Record) -> str:
    """The first field that is not what the record's settings say, in half a line; "" if there is none.

    The hash is that of the settings: a field beside them could put a number into another row, or among real data.
    """
    task, method, data = (_part(record, name) for name in ("task", "method", "data"))
    said = {
        "architecture": (record.architecture, task.get("architecture")),
        "dataset": (record.dataset, task.get("dataset")),
        "primary_metric": (record.primary_metric, task.get("metric")),
        "data.source": (record.data.get("source"), data.get("source")),
        "data.fingerprint": (record.data.get("fingerprint"), data.get("fingerprint")),
    }
    differing = {name: values for name, values in said.items() if values[0] != values[1]}
    wrong = [
        f"{name} is {shown(found)}, and {shown(meant)} in its settings" for name, (found, meant) in differing.items()
    ]
    base, named = _base(record), method.get("name")
    lengthened = base not in known_methods() and base.startswith(f"{named}_")  # a plugin's that is not here, on a task
    if base != named and not lengthened:
        wrong.append(f"method is {record.method}, and {shown(named)} in its settings")
    domain = domains().get(record.domain.removeprefix(TUNED))
    if domain is None or all(one.name != record.architecture for one in domain.architectures):
        wrong.append(f"domain is {record.domain}, which has no {record.architecture}")
    return next(iter(wrong), "")


def _part(record: Record, name: str) -> dict[str, Any]:
    part = record.config.get(name)
    return part if isinstance(part, dict) else {}


def _planned_hash(record: Record) -> str | None:
    """The hash that the same run has here; None where its data are not here.

    Raises:
        UsageError: there is no such task, method or profile.
    """
    try:
        return Run.plan(_choices(record)).config_hash
    except UsageError:
        raise
    except ValueError:
        return None


def _cost(record: Record) -> float:
    """How long the run is, relative to others: the pack's own seconds may be invented."""
    try:
        return float(Run.plan(_choices(record)).config.task.cost)
    except ValueError:
        return math.inf


def _choices(record: Record) -> list[str]:
    source = {"real": "real", "stand-in": "standin"}.get(str(record.data.get("source", "")), "auto")
    return [
        *(f"task={record.task}", f"method={_base(record)}", f"profile={record.profile}"),
        *(f"seed={record.seed}", f"data={source}"),
    ]


def _base(record: Record) -> str:
    return entry_behind(record.method).name


def _incomplete(records: Sequence[Record]) -> Iterator[str]:
    """Whether every task has the method, backprop and shallow, with enough seeds in common.

    A method may diverge on some tasks: the tables say so. It needs numbers on one, and those that it is compared with
    need them on all.
    """
    seeds: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    numbers: dict[str, int] = defaultdict(int)
    for record in records:
        method = _base(record)
        if record.status == "ok" or (record.status == "diverged" and method not in (REFERENCE, CONTROL)):
            seeds[record.task][method].add(record.seed)
            numbers[method] += record.status == "ok"
    if not set(numbers) - {REFERENCE, CONTROL}:
        yield f"there is no method beside {REFERENCE} and {CONTROL}"
    for method in sorted(set(numbers) - {REFERENCE, CONTROL}):
        if not numbers[method]:
            yield f"all runs of {method} diverged: there is no number to put into a table"
    for task, found in sorted(seeds.items()):
        for method in sorted(set(found) - {REFERENCE, CONTROL}):
            common = found[method] & found.get(REFERENCE, set()) & found.get(CONTROL, set())
            if len(common) < SEEDS:
                yield f"{task}: {len(common)} seed(s) of {method} in common with {REFERENCE} and {CONTROL}, not {SEEDS}"


def check_file(pack: Path) -> None:
    """Raise :class:`UsageError` if there is no such file."""
    if not pack.is_file():
        raise UsageError(f"{pack}: no such file; give the pack that benchmarks.submit make has written")
