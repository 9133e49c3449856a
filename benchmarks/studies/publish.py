"""The published results of a study: its records packed, and the conclusion that follows from the packs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.records import evidence_manifest, paths
from benchmarks.records.packs import Entry, ended, pack, read_entries, select
from benchmarks.records.record import Record, iterate_records
from benchmarks.records.run_history import local_histories, thin
from benchmarks.studies.chosen_runs import that_count
from benchmarks.studies.files import findings_of, write
from benchmarks.studies.study import Done, Study
from benchmarks.workers.plan import Selection

#: Rows of a packed history.
_ROWS = 60


def publish(study: Study, profile: str, results: Path, data: str = "") -> list[Path]:
    """Pack what a study has recorded, conclude from the packs, and write it all; returns the files.

    Runs that are packed already and not here are kept as far as they count beside those that are here.

    Raises:
        ValueError: nothing is recorded, or a pack would be too large; one line.
    """
    public = paths.published(results)
    here, there = paths.study(results, study.name), paths.study(public, study.name)
    written: list[Path] = []
    if records := select(iterate_records(paths.records(here)), profile, "*"):
        path = paths.evidence(there) / f"{profile}.jsonl.gz"
        histories = local_histories(ended(records), paths.records(here))
        packed = _counting(read_entries(path), records, study.runs(profile), data) if path.exists() else []
        kept = {one.record.run_id: one.history for one in packed if one.history is not None}
        thinned = {run: thin(one, _ROWS) for run, one in histories.items()}
        pack([*records, *(one.record for one in packed)], path, kept | thinned)
        written.append(path)
    for file in sorted(paths.computed(here).glob("*.json")):
        target = paths.computed(there) / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        written.append(target)
    written.append(evidence_manifest.write(public))
    conclusion = study.conclude(findings_of(study, profile, public, data))
    return [*written, *write(study, conclusion, profile, public)]


def _counting(
    packed: Iterable[Entry], here: Sequence[Record], selections: Sequence[Selection], data: str
) -> list[Entry]:
    """The packed runs that are not here, and from which a study would conclude beside those that are."""
    known = {record.run_id for record in here}
    others = [entry for entry in packed if entry.record.run_id not in known]
    runs = [Done(record, None) for record in (*here, *(entry.record for entry in others))]
    counting = {run.record.run_id for run in that_count(runs, selections, data)}
    return [entry for entry in others if entry.record.run_id in counting]
