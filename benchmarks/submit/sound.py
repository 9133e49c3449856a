"""One record by itself: whether its fields, its settings and its numbers can be those of a run."""

from __future__ import annotations

from typing import Any

from benchmarks.catalogue.discovery import domains
from benchmarks.catalogue.methods import known_methods
from benchmarks.catalogue.names import shipped_name
from benchmarks.records import metrics
from benchmarks.records.cells import LARGEST
from benchmarks.records.record import Record, hash_config
from benchmarks.settings.neutral import without_neutral
from benchmarks.submit import planned
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import shown


def problem_of(record: Record) -> str:
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
        here = planned.hash_here(record)
    except UsageError as error:
        return f"this version of the suite cannot run it ({error})"
    if here not in (None, record.config_hash):
        return f"this version of the suite would run it with other settings or data ({here})"
    return ""


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
    base, named = planned.method_of(record), method.get("name")
    lengthened = base not in known_methods() and base.startswith(f"{named}_")  # a plugin's that is not here, on a task
    if base != named and not lengthened:
        wrong.append(f"method is {record.method}, and {shown(named)} in its settings")
    domain = domains().get(shipped_name(record.domain))
    if domain is None or all(one.name != record.architecture for one in domain.architectures):
        wrong.append(f"domain is {record.domain}, which has no {record.architecture}")
    return next(iter(wrong), "")


def _part(record: Record, name: str) -> dict[str, Any]:
    part = record.config.get(name)
    return part if isinstance(part, dict) else {}


def impossible(record: Record) -> str:
    """The first metric that nothing measures here, or that cannot have its value, in half a line; "" if there is none.

    Of a run that is ok, also a primary metric that is absent or so large that tables would count the run as diverged.
    """
    for name, value in sorted(record.metrics.items()):
        if not metrics.is_known(name):
            return metrics.unknown(name)
        if wrong := metrics.impossible(name, value):
            return wrong
    primary = record.primary_metric
    if record.status != "ok":
        return ""
    if primary not in record.metrics:
        return f"it has no {primary or 'metric'}"
    return "" if abs(record.metrics[primary]) < LARGEST else f"it is ok, and its {primary} {record.metrics[primary]:g}"
