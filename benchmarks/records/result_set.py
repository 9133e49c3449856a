"""A results folder, read once: what tables, report, curves, comparisons and notebooks are made of.

    from benchmarks.records.result_set import ResultSet

    results = ResultSet.load("results")
    results.frame      # pandas, a row per run and metric
    results.cells      # gathered over the seeds, as tables show them

Each record and each pack is read once, and gathered into cells once; `ResultSet.select` takes a part of what was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.catalogue.names import task_matches
from benchmarks.records import paths
from benchmarks.records.aggregation import aggregate
from benchmarks.records.cells import CellSet, ResultCell, Slice, slices_of
from benchmarks.records.inputs import BadInput, OnBad, refuse
from benchmarks.records.packs import ended, packs_in
from benchmarks.records.record import Record, artefact_path
from benchmarks.records.run_history import History, local_histories
from benchmarks.records.runs import Run, runs_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class ResultSet:
    """The runs of a results folder, each once and in order of their ids, and the cells that they make."""

    folder: Path
    runs: tuple[Run, ...]
    found: CellSet
    left_out: int = 0  # inputs that could not be used
    on_bad: OnBad = refuse  # gets histories that are not readable, once they are asked for

    @classmethod
    def load(cls, results: str | Path, on_bad: OnBad = refuse) -> ResultSet:
        """Read ``records/`` and every pack in ``evidence/``.

        A local record wins over a packed one, unless it failed; of two packs, the later ``finished`` does. ``on_bad``
        gets what cannot be read, and metrics that are not known.

        Raises:
            ValueError: there is no such folder; one line.
        """
        folder, left_out = Path(results), 0
        if not folder.is_dir():
            raise ValueError(f"{folder}: there is no such folder; run a sweep first, or name another")

        def note(error: BadInput) -> None:
            nonlocal left_out
            left_out += 1
            on_bad(error)

        found = cls.of(folder, runs_of(paths.records(folder), packs_in(folder), note), on_bad)
        return replace(found, left_out=left_out)

    @classmethod
    def of(cls, folder: Path, runs: Iterable[Run], on_bad: OnBad = refuse) -> ResultSet:
        """``runs`` of the results folder ``folder``, gathered into cells; their metrics are all known."""
        runs = tuple(runs)
        return cls(folder, runs, aggregate(run.record for run in runs), on_bad=on_bad)

    @property
    def records(self) -> list[Record]:
        """One record for each run; metrics that are not known are not in them."""
        return [run.record for run in self.runs]

    @property
    def cells(self) -> list[ResultCell]:
        """All cells, sorted by key."""
        return self.found.cells

    @property
    def profiles(self) -> list[str]:
        """The profiles of all runs, sorted."""
        return sorted({run.record.profile for run in self.runs})

    @cached_property
    def slices(self) -> list[Slice]:
        """The cells by profile and data source, in order of their names."""
        return slices_of(self.cells)

    @cached_property
    def histories(self) -> Mapping[str, History]:
        """The histories by run: local ones, else those in packs. Runs without one are left out."""
        packed = {run.record.run_id: run.packed_history for run in self.runs if run.packed_history is not None}
        # A CSV without a record beside it is that of a run that has not finished.
        local = ended(run.record for run in self.runs if run.local)
        return packed | local_histories(local, paths.records(self.folder), self.on_bad)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row per run and metric; `benchmarks.records.frame` names the columns."""
        from benchmarks.records.frame import frame_of  # pandas takes longer to import than all tables take to build

        return frame_of(self.runs, self.cells)

    def select(self, profiles: Collection[str] = (), tasks: str = "*", variants: bool = True) -> ResultSet:
        """The runs of some ``profiles`` (none: of all) whose task matches one of the comma-separated patterns.

        Without ``variants`` runs with overridden settings are left out. Which settings are the newest, and which data
        a failed run was meant for, was decided over all runs.
        """
        patterns = [pattern.strip() for pattern in tasks.split(",")]
        chosen = {run.record.task for run in self.runs if any(task_matches(run.record.task, p) for p in patterns)}

        def wanted(profile: str, task: str, variant: str) -> bool:
            return task in chosen and (not profiles or profile in profiles) and (variants or not variant)

        runs = tuple(run for run in self.runs if wanted(run.record.profile, run.record.task, run.record.variant))
        cells = [cell for cell in self.cells if wanted(cell.key.profile, cell.key.task, cell.key.variant)]
        stale = [one for one in self.found.stale if wanted(one.profile, one.task, one.variant)]
        return replace(self, runs=runs, found=CellSet(cells, stale))

    def artefact(self, run_id: str, name: str) -> Path:
        """Where the artefact ``name`` of a run lies, if it is here: artefacts are local."""
        return artefact_path(paths.records(self.folder) / run_id, name)
