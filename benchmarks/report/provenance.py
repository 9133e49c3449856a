"""Provenance: from a number in the report to the records it came from.

An entry holds the runs of one task and method under one configuration. A number links to its entry; one that rests
on several, such as a mean over datasets, to a list of entries. Only what is linked to is in the report.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.records import metrics
from benchmarks.records.cells import ResultCell
from benchmarks.records.record import Record
from benchmarks.records.runs import Run


class Identity(NamedTuple):
    """The values that the runs of an entry have in common."""

    profile: str
    task: str
    method: str
    config_hash: str


class Outcome(NamedTuple):
    """One record as text."""

    name: str  # `Record.run_id`: where it lies below the records folder
    text: str


@dataclass(frozen=True)
class Entry:
    """The runs of one configuration, and what is the same or told apart among them."""

    anchor: str
    identity: Identity
    summary: str
    facts: tuple[tuple[str, str], ...]
    config: str
    runs: tuple[Outcome, ...]


@dataclass(frozen=True)
class Union:
    """Several entries behind one number."""

    anchor: str
    members: tuple[str, ...]  # anchors


class Provenance:
    """Hands out anchors, and keeps the entries that they point to in order of their first use."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs: dict[Identity, list[Run]] = defaultdict(list)
        for run in runs:
            self._runs[identity_of(run.record)].append(run)
        self._entries: dict[Identity, Entry] = {}
        self._unions: dict[tuple[str, ...], Union] = {}

    @property
    def entries(self) -> list[Entry]:
        """All entries that an anchor was asked for."""
        return list(self._entries.values())

    @property
    def unions(self) -> list[Union]:
        """All lists of entries that an anchor was asked for."""
        return list(self._unions.values())

    def anchor(self, cells: Iterable[ResultCell]) -> str:
        """Where the records behind ``cells`` stand in the report; "" if there are none."""
        wanted = dict.fromkeys(_identity_of_cell(cell) for cell in cells)
        members = tuple(self._entry(identity).anchor for identity in wanted if identity in self._runs)
        if len(members) < 2:
            return "".join(members)
        if members not in self._unions:
            self._unions[members] = Union(f"s{len(self._unions) + 1}", members)
        return self._unions[members].anchor

    def runs(self, cell: ResultCell) -> list[Record]:
        """The records whose values are in ``cell``, by seed."""
        found = [run.record for run in self._runs.get(_identity_of_cell(cell), [])]
        return sorted((record for record in found if record.seed in cell.values), key=lambda record: record.seed)

    def _entry(self, identity: Identity) -> Entry:
        if identity not in self._entries:
            runs = sorted(self._runs[identity], key=lambda run: run.record.seed)
            self._entries[identity] = _entry_of(f"r{len(self._entries) + 1}", identity, runs)
        return self._entries[identity]


def identity_of(record: Record) -> Identity:
    """The entry a record belongs to."""
    return Identity(record.profile, record.task, record.method, record.config_hash)


def _identity_of_cell(cell: ResultCell) -> Identity:
    return Identity(cell.key.profile, cell.key.task, cell.key.method, cell.config_hash)


def _entry_of(anchor: str, identity: Identity, runs: Sequence[Run]) -> Entry:
    records = [run.record for run in runs]
    first = records[0]
    count = f"{len(records)} record{'s' * (len(records) != 1)}"
    facts = {
        "settings": identity.config_hash + (f", overrides {first.variant}" if first.variant else ""),
        "data": _distinct(_data(record) for record in records),
        "code": _distinct(_code(record) for record in records),
        "hardware": _distinct(", ".join(f"{k} {v}" for k, v in sorted(record.hardware.items())) for record in records),
        "versions": _distinct(", ".join(f"{k} {v}" for k, v in sorted(record.versions.items())) for record in records),
        "finished": " to ".join(_dates(records)),
        "kept in": _distinct(f"evidence/{run.pack}" if run.pack else "records/, local" for run in runs),
    }
    return Entry(
        anchor=anchor,
        identity=identity,
        summary=f"{identity.profile} · {identity.task} · {identity.method} · {count}",
        facts=tuple((name, text) for name, text in facts.items() if text),
        config=json.dumps(first.config, sort_keys=True, ensure_ascii=False),
        runs=tuple(Outcome(record.run_id, _outcome(record)) for record in records),
    )


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _data(record: Record) -> str:
    source, fingerprint, about = (str(record.data.get(name, "")) for name in ("source", "fingerprint", "about"))
    return ", ".join(filter(None, (source, fingerprint and f"fingerprint {fingerprint}", about)))


def _code(record: Record) -> str:
    commit = str(record.code.get("commit") or "")
    return f"commit {commit}" + (", with uncommitted changes" if record.code.get("dirty") else "") if commit else ""


def _dates(records: Sequence[Record]) -> list[str]:
    """The first and the last moment at which one finished; the only one where there is one."""
    ordered = sorted((record for record in records if record.finished), key=lambda record: record.moment)
    return list(dict.fromkeys(record.finished for record in [*ordered[:1], *ordered[-1:]]))


def _outcome(record: Record) -> str:
    """Status with its reason if it is not ok, all metrics, and the training time."""
    status = "" if record.status == "ok" else f"{record.status}: {record.reason}" if record.reason else record.status
    numbers = [f"{name} {metrics.lookup(name).format(value)}" for name, value in sorted(record.metrics.items())]
    return ", ".join([*filter(None, [status]), *numbers, f"{record.train_seconds:.4g} s"])
