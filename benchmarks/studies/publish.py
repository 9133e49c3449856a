"""The published results of a study: its records packed, and the conclusion that follows from the packs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.records import evidence_manifest, paths
from benchmarks.records.packs import ended, pack, read_entries, select
from benchmarks.records.record import Record, iterate_records
from benchmarks.records.run_history import History, local_histories, thin
from benchmarks.studies.files import findings_of, write
from benchmarks.studies.study import Study

#: Rows of a packed history.
_ROWS = 60


def publish(study: Study, profile: str, results: Path) -> list[Path]:
    """Pack what a study has recorded, conclude from the packs, and write it all; returns the files.

    Runs that are packed already and not here are kept.

    Raises:
        ValueError: nothing is recorded, or a pack would be too large; one line.
    """
    public = paths.published(results)
    here, there = paths.study(results, study.name), paths.study(public, study.name)
    written: list[Path] = []
    if records := select(iterate_records(paths.records(here)), profile, "*"):
        path = paths.evidence(there) / f"{profile}.jsonl.gz"
        histories = local_histories(ended(records), paths.records(here))
        pack(*_with_packed(path, records, {run: thin(one, _ROWS) for run, one in histories.items()}))
        written.append(path)
    for file in sorted(paths.computed(here).glob("*.json")):
        target = paths.computed(there) / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        written.append(target)
    written.append(evidence_manifest.write(public))
    conclusion = study.conclude(findings_of(study, profile, public))
    return [*written, *write(study, conclusion, profile, public)]


def _with_packed(
    path: Path, records: list[Record], histories: Mapping[str, History]
) -> tuple[list[Record], Path, Mapping[str, History]]:
    """The records and histories, with those that the pack holds and that are not here; and where they go."""
    if not path.exists():
        return records, path, histories
    here = {record.run_id for record in records}
    kept = [entry for entry in read_entries(path) if entry.record.run_id not in here]
    packed = {one.record.run_id: one.history for one in kept if one.history is not None}
    return [*records, *(entry.record for entry in kept)], path, {**packed, **histories}
