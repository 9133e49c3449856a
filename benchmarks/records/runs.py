"""Runs: the records of a results folder, local ones and packed ones together, each read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.records.aggregation import sources_of, usable
from benchmarks.records.inputs import OnBad, refuse
from benchmarks.records.packs import read_entries
from benchmarks.records.record import DONE, Record, iterate_records
from benchmarks.records.run_history import History


class Run(NamedTuple):
    """One run of a results folder, and where it was found."""

    record: Record
    source: str  # of its data
    local: bool  # it has a record file of its own
    pack: str = ""  # the file name of the pack that holds this very record; "" for none
    packed_history: History | None = None


def runs_of(records: Path, packs: Iterable[Path], on_bad: OnBad = refuse) -> Iterator[Run]:
    """The runs of a records folder and of packs, each once, in order of their ids.

    A local record wins over a packed one, unless it failed and the other came to its end; of two packs, the later
    ``finished`` does. ``on_bad`` gets what cannot be read or cannot be true, and metrics that are not known: these a
    record is then without.
    """
    packed = [(entry, pack.name) for pack in packs for entry in read_entries(pack, on_bad)]
    runs = {
        entry.record.run_id: Run(entry.record, "", False, pack, entry.history)
        for entry, pack in sorted(packed, key=lambda one: one[0].record.moment)
    }
    for record in iterate_records(records, on_bad):
        # A run that was repeated has the same name: pack and history count for this very record alone.
        former = runs.get(record.run_id)
        if former is not None and record.status not in DONE and former.record.status in DONE:
            continue
        same = former if former and former.record == record else Run(record, "", True)
        runs[record.run_id] = same._replace(local=True)
    ordered = [runs[name] for name in sorted(runs)]
    for run, source in zip(ordered, sources_of([run.record for run in ordered]), strict=True):
        if (one := usable(run.record, on_bad)) is not None:
            yield run._replace(record=one, source=source)
