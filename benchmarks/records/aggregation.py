"""Aggregation: records of the same settings, gathered over their seeds into cells.

When settings changed over time, one (profile, task, method, variant, data source) has records under several
hashes. The newest counts that has a run which came to an end (a divergence is a result of its settings, a failure
says nothing about them); the others are reported as stale and never mixed in.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypedDict

from benchmarks.records import metrics
from benchmarks.records.cells import LARGEST, NAN, CellKey, CellSet, ResultCell, Stale
from benchmarks.records.inputs import BadInput, OnBad, refuse
from benchmarks.records.record import DONE, Record
from benchmarks.records.timing import Timing, timing_of

#: Profile, task, variant and data source: all that is judged by one metric.
_Judged = tuple[str, str, str, str]


def aggregate(records: Iterable[Record], on_bad: OnBad = refuse) -> CellSet:
    """Gather ``records`` into cells.

    ``on_bad`` gets each metric that `benchmarks.records.metrics` does not know, and of which run; it has no cell. It
    also gets each record with a value that cannot be: the record is left out.
    """
    checked = [one for record in records if (one := usable(record, on_bad)) is not None]
    groups = [(source, by_hash, _newest(by_hash)) for source, by_hash in _groups(checked)]
    primaries = _primaries((source, by_hash[newest]) for source, by_hash, newest in groups)
    cells: list[ResultCell] = []
    stale: list[Stale] = []
    for source, by_hash, newest in groups:
        cells += _cells_of(by_hash[newest], source, primaries)
        stale += [_stale(runs, newest) for name, runs in by_hash.items() if name != newest]
    return CellSet(sorted(cells, key=lambda cell: cell.key), sorted(stale))


def usable(record: Record, on_bad: OnBad = refuse) -> Record | None:
    """``record`` itself, or what is left of it where it has metrics that `benchmarks.records.metrics` does not know.

    None if one of its metrics has a value that it cannot have, such as an accuracy of 8000 percent: no other number of
    such a record can be trusted. A value that is not finite, or huge, is that of a run that diverged.
    """
    for name, value in record.metrics.items():
        if abs(value) < LARGEST and (wrong := metrics.impossible(name, value)):
            on_bad(BadInput(f"record {record.run_id}", wrong, "move it away and run the task again"))
            return None
    unknown = {name for name in {*record.metrics, record.primary_metric} - {""} if not metrics.is_known(name)}
    for name in sorted(unknown):
        on_bad(BadInput(f"record {record.run_id}", metrics.unknown(name)))
    if not unknown:
        return record
    known = {name: value for name, value in record.metrics.items() if name not in unknown}
    primary = "" if record.primary_metric in unknown else record.primary_metric
    return dataclasses.replace(record, metrics=known, primary_metric=primary)


def sources_of(records: Sequence[Record]) -> list[str]:
    """The data source of each record.

    A run that failed before it opened its data belongs with its siblings, not in a table of its own.
    """
    known = {(record.profile, record.task): _source(record) for record in records if _source(record)}
    return [_source(record) or known.get((record.profile, record.task), "unknown") for record in records]


def _groups(records: Sequence[Record]) -> Iterator[tuple[str, dict[str, list[Record]]]]:
    """Per (profile, task, method, variant, data source): the source and the runs by configuration hash."""
    groups: dict[tuple[str, str, str, str, str], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record, source in zip(records, sources_of(records), strict=True):
        group = (source, record.profile, record.task, record.method, record.variant)
        groups[group][record.config_hash].append(record)
    for (source, *_), by_hash in sorted(groups.items()):
        yield source, by_hash


def _newest(by_hash: dict[str, list[Record]]) -> str:
    """The hash that counts: of those with a run that came to an end, or else of all, the one with the newest run."""
    ended = {name: runs for name, runs in by_hash.items() if any(record.status in DONE for record in runs)} or by_hash
    return max(ended, key=lambda name: (max(record.moment for record in ended[name]), name))


def _primaries(counted: Iterable[tuple[str, list[Record]]]) -> dict[_Judged, str]:
    """The metric that each task is judged by, all its methods alike, from the runs that count and their data source.

    The newest run that came to an end says so, or else the newest of all. A variant may be judged by another metric
    than the settings as shipped, and so may a task under another profile, or on other data.
    """
    newest: dict[_Judged, tuple[bool, datetime, str]] = {}
    for source, runs in counted:
        for record in runs:
            if record.primary_metric:
                told = (record.status in DONE, record.moment, record.primary_metric)
                judged = _judged(record, source)
                newest[judged] = max(told, newest.get(judged, told))
    return {judged: primary for judged, (*_, primary) in newest.items()}


def _judged(record: Record, source: str) -> _Judged:
    return record.profile, record.task, record.variant, source


def _source(record: Record) -> str:
    return record.data.get("source", "")


def _stale(runs: list[Record], newest: str) -> Stale:
    first = runs[0]
    return Stale(first.profile, first.task, first.method, first.config_hash, newest, len(runs), first.variant)


def _cells_of(runs: list[Record], source: str, primaries: dict[_Judged, str]) -> Iterator[ResultCell]:
    """One cell per metric of ``runs``, which share their settings. A known primary metric always has one."""
    first = runs[0]
    primary = primaries.get(_judged(first, source), "")
    ok = [record for record in runs if record.status == "ok"]
    named = {name for record in ok for name in record.metrics}
    for name in sorted(named | ({primary} if primary or not ok else set())):
        yield ResultCell(
            key=CellKey(first.profile, first.task, first.method, name, first.variant, source),
            domain=first.domain,
            architecture=first.architecture,
            dataset=first.dataset,
            config_hash=first.config_hash,
            fingerprint="+".join(sorted({record.data.get("fingerprint", "") for record in runs} - {""})),
            about_data="; ".join(sorted({record.data.get("about", "") for record in runs} - {""})),
            primary=name == primary,
            **_values_of(runs, name),
            **_cost_of(ok),
        )


class _Values(TypedDict):
    values: dict[int, float]
    statuses: dict[str, int]
    reason: str


class _Cost(TypedDict, total=False):
    train_seconds: float
    samples_per_second: float
    peak_memory_mb: float
    budget: int
    budget_unit: str
    alignment_seconds: float
    timings: dict[int, Timing]


def _values_of(runs: list[Record], name: str) -> _Values:
    """Values by seed and the runs' statuses; a run that calls itself ok but has no sane value diverged."""
    values: dict[int, float] = {}
    statuses: Counter[str] = Counter()
    reasons: list[str] = []
    for record in sorted(runs, key=lambda record: record.seed):
        status = record.status
        if status == "ok":
            value = float(record.metrics.get(name, NAN))
            if abs(value) < LARGEST:
                values[record.seed] = value
            else:
                status = "diverged"
        statuses[status] += 1
        if status != "ok":
            reasons.append(_why_no_value(record, name) if record.status == "ok" else record.reason)
    return {"values": values, "statuses": dict(statuses), "reason": next(filter(None, reasons), "")}


def _why_no_value(record: Record, name: str) -> str:
    """Metrics that are not finite are never written: one that is not there may be newer than the run."""
    return f"{name} is not finite, or huge" if name in record.metrics else f"{name} was not recorded"


def _counts_epochs(record: Record) -> bool:
    """Whether the run's length was given in epochs; old records do not always say."""
    return record.config.get("task", {}).get("steps") is None


def _cost_of(ok: list[Record]) -> _Cost:
    """Time, throughput, memory and budget of the runs that finished."""
    if not ok:
        return {}
    probes = [record.alignment_seconds for record in ok if record.alignment_seconds]
    unit = "epochs" if any(record.budget.get("epochs", 0) and _counts_epochs(record) for record in ok) else "steps"
    return {
        "train_seconds": statistics.fmean(record.train_seconds for record in ok),
        "samples_per_second": statistics.fmean(record.samples_per_second for record in ok),
        "peak_memory_mb": max(float(record.peak_memory_mb) for record in ok),
        "budget": round(statistics.fmean(record.budget.get(unit, 0) for record in ok)),
        "budget_unit": unit,
        "alignment_seconds": statistics.fmean(probes) if probes else NAN,
        "timings": {record.seed: timing for record in ok if (timing := timing_of(record))},
    }
