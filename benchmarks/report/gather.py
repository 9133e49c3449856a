"""The material of a report: the records, cells, histories, artefacts and figures of one results folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.catalogue.methods import method_order
from benchmarks.catalogue.reference import paper_order
from benchmarks.curves import TaskRuns
from benchmarks.curves.runs import with_histories
from benchmarks.records import paths
from benchmarks.records.cells import ResultCell
from benchmarks.records.record import Record
from benchmarks.records.result_set import ResultSet
from benchmarks.report.headline import FILE
from benchmarks.report.provenance import Provenance
from benchmarks.tables.headline import best_first, profiles_shown
from benchmarks.tables.table_set import TableSet, published_in

SHEET, SAMPLES = "sheet.png", "samples.txt"
_PICTURES = (".png", ".svg", ".webp", ".jpg", ".gif")


@dataclass(frozen=True)
class Material:
    """The inputs of a report, of the profiles it shows."""

    results: ResultSet
    tables: TableSet
    profiles: tuple[str, ...]  # the best first
    runs: tuple[TaskRuns, ...]  # those with histories, real data first
    figures: Mapping[str, Path]  # by name below the folder of figures, with suffix
    provenance: Provenance

    def artefact(self, record: Record, name: str) -> Path | None:
        """A file that a run left beside its record, if it is here: artefacts are local."""
        if name not in record.artefacts:
            return None
        path = self.results.artefact(record.run_id, name)
        return path if path.is_file() else None


def gather_material(every: ResultSet, profile: str = "") -> Material:
    """The material of ``profile`` ("" for all but smoke, unless there is no other).

    Raises:
        ValueError: no record; one line.
    """
    if not every.runs:
        raise ValueError(f"{every.folder}: no records or evidence packs; run make bench-all first, or give --results")
    if profile and profile not in every.profiles:
        raise ValueError(f"{every.folder}: no record of profile {profile}; there is {', '.join(every.profiles)}")
    profiles = [profile] if profile else profiles_shown(every.profiles)
    results = every.select(profiles)
    hidden = set(every.profiles) - set(profiles)
    return Material(
        results=results,
        tables=TableSet(results, published_in(results.folder, results.on_bad)),
        profiles=tuple(profiles),
        runs=tuple(sorted(with_histories(results.select(variants=False)), key=_order)),
        figures=_figures(paths.figures(results.folder), hidden),
        provenance=Provenance(results.runs),
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


def _figures(folder: Path, hidden: Collection[str]) -> dict[str, Path]:
    """Picture files but the headline's, which this report writes, and those of profiles that are not shown."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _PICTURES and path.is_file())
    named = {path.relative_to(folder): path for path in files if path != folder / FILE}
    return {name.as_posix(): path for name, path in named.items() if name.parts[0] not in hidden}
