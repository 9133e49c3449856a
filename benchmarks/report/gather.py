"""What a report is made of: the records, cells, histories, artefacts and figures of one results folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.curves import TaskRuns
from benchmarks.curves.runs import with_histories
from benchmarks.records.cells import CellSet, ResultCell, aggregate, without_unknown_metrics
from benchmarks.records.inputs import OnBad, refuse
from benchmarks.records.packs import gather, packs_in, read_pack
from benchmarks.records.record import Record, artefact_path
from benchmarks.report.headline import FILE
from benchmarks.report.provenance import Provenance
from benchmarks.tables.headline import best_first, profiles_shown
from benchmarks.tables.reference import paper_order
from benchmarks.tables.specs import method_order

SHEET, SAMPLES = "sheet.png", "samples.txt"
_PICTURES = (".png", ".svg", ".webp", ".jpg", ".gif")


@dataclass(frozen=True)
class Material:
    """The inputs of a report, of the profiles it shows."""

    results: Path
    records: tuple[Record, ...]
    found: CellSet
    profiles: tuple[str, ...]  # the best first
    runs: tuple[TaskRuns, ...]  # those with histories, real data first
    figures: tuple[Path, ...]  # below results/figures
    provenance: Provenance

    @property
    def cells(self) -> list[ResultCell]:
        """All cells."""
        return self.found.cells

    def artefact(self, record: Record, name: str) -> Path | None:
        """A file that a run left beside its record, if it is here: artefacts are local."""
        if name not in record.artefacts:
            return None
        path = artefact_path(self.results / "records" / record.run_id, name)
        return path if path.is_file() else None


def gather_material(results: Path, profile: str = "", on_bad: OnBad = refuse) -> Material:
    """Everything in ``results`` of ``profile`` ("" for all but smoke, unless there is no other).

    ``on_bad`` gets records, packs and histories that are not readable, and metrics that are not known.

    Raises:
        ValueError: no record; one line.
    """
    gathered = gather(results, on_bad)
    every = [without_unknown_metrics(record, on_bad) for record in gathered]
    if not every:
        raise ValueError(f"{results}: no records or evidence packs; run make bench-all first, or give --results")
    profiles = [profile] if profile else profiles_shown(aggregate(every).cells)
    records = [record for record in every if record.profile in profiles]
    if not records:
        known = sorted({record.profile for record in every})
        raise ValueError(f"{results}: no record of profile {profile}; there is {', '.join(known)}")
    named = {record.run_id for record in records if not record.variant}
    runs = with_histories([record for record in gathered if record.run_id in named], results, on_bad)
    hidden = {record.profile for record in every} - set(profiles)
    return Material(
        results=results,
        records=tuple(records),
        found=aggregate(records),
        profiles=tuple(profiles),
        runs=tuple(sorted(runs, key=_order)),
        figures=tuple(_figures(results / "figures", hidden)),
        provenance=Provenance(records, _packs(gathered, results, on_bad)),
    )


def _order(runs: TaskRuns) -> tuple[object, ...]:
    return (*best_first(runs.profile, runs.source), runs.task)


def cell_order(cell: ResultCell) -> tuple[object, ...]:
    """Sort key of what the report shows of single cells: the best evidence first, then as in the tables."""
    return (
        *best_first(cell.key.profile, cell.key.data_source),
        *paper_order(cell.domain, cell.dataset, cell.architecture),
        cell.key.task,
        method_order(cell.key.method),
    )


def _packs(records: Iterable[Record], results: Path, on_bad: OnBad) -> dict[str, str]:
    """The pack that holds each of ``records``; a run that was repeated since is not the packed one."""
    known = {record.run_id: record for record in records}
    return {
        record.run_id: f"evidence/{path.name}"
        for path in packs_in(results)
        for record in read_pack(path, on_bad)
        if known.get(record.run_id) == record
    }


def _figures(folder: Path, hidden: Iterable[str]) -> list[Path]:
    """Picture files but the headline's, which this report writes, and those of profiles that are not shown."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _PICTURES and path.is_file())
    left_out = set(hidden)
    return [path for path in files if path != folder / FILE and path.relative_to(folder).parts[0] not in left_out]
