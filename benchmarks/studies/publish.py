"""The published results of a study: its records packed, and the conclusion that follows from the packs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.records import evidence_manifest, paths
from benchmarks.records.inputs import below
from benchmarks.records.packs import ended, pack, read_entries, select
from benchmarks.records.record import DONE, Record, iterate_records
from benchmarks.records.run_history import local_histories, thin
from benchmarks.studies.chosen_runs import choose_runs
from benchmarks.studies.computed import file_of
from benchmarks.studies.discovery import studies
from benchmarks.studies.files import findings_of, sheet_texts, write
from benchmarks.studies.study import Done, Study
from benchmarks.tables.claims import claims_text, read_claims

#: Rows of a packed history.
_ROWS = 60


def publish(study: Study, profile: str, results: Path, data: str = "") -> list[Path]:
    """Pack the runs that a study concludes from, conclude from the pack, and write it all; returns the files.

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
        ours = [Done(record, histories.get(record.run_id)) for record in records]
        _pack(choose_runs([*ours, *_packed_elsewhere(path, records)], study.runs(profile), data), path)
        written.append(path)
    for file in (file_of(paths.computed(here), one) for one in study.computations(profile)):
        if file.exists():  # others beside it are of former versions
            target = paths.computed(there) / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            written.append(target)
    written.append(evidence_manifest.write(public))
    conclusion = study.conclusion(findings_of(study, profile, public, data))
    return [*written, *write(study, conclusion, profile, public)]


def stale(public: Path) -> Iterator[str]:
    """The published claims and tables that are not what the packs give, a line each.

    Claims are there for every profile, a table for the one that was published last with it.

    Raises:
        BadInput: a file that cannot be read; one line.
    """

    def wrong(what: object, study: str, profile: str) -> str:
        command = f"python -m benchmarks.studies {study} profile={profile} run=false results={public}"
        return f"{what} is not what the evidence gives; {command} writes it"

    claims = read_claims(paths.claims(public))
    expected: dict[Path, set[str]] = {path: set() for path in below(paths.tables(public) / "studies")}
    for name, profile in dict.fromkeys((one.study, one.profile) for one in claims):
        if name not in studies():
            yield f"{paths.claims(public)}: there is no study '{name}'"
            continue
        study = studies()[name]
        conclusion = study.conclusion(findings_of(study, profile, public))
        told = [one for one in claims if (one.study, one.profile) == (name, profile)]
        if claims_text(told) != claims_text(conclusion.claims):
            yield wrong(f"{paths.claims(public)}: {name} at profile {profile}", name, profile)
        for path, text in sheet_texts(study, conclusion, profile, public).items():
            expected.setdefault(path, set()).add(text)
    for path, texts in expected.items():
        if not path.is_file() or path.read_text() not in texts:
            yield wrong(path, "NAME", "PROFILE")


def _packed_elsewhere(path: Path, here: Sequence[Record]) -> list[Done]:
    """The runs of a pack that are not here, or failed here."""
    known = {record.run_id for record in here if record.status in DONE}
    entries = read_entries(path) if path.exists() else []
    return [Done(entry.record, entry.history) for entry in entries if entry.record.run_id not in known]


def _pack(runs: Sequence[Done], path: Path) -> None:
    histories = {run.record.run_id: thin(run.history, _ROWS) for run in runs if run.history is not None}
    pack([run.record for run in runs], path, histories)
