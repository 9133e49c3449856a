"""Which recorded runs a study concludes from: those of its plan, of one version of their settings, on one kind of data.

A folder of results holds others as well: runs of an earlier version of the study, of settings that shipped once, on
stand-ins from before the data were there. A mean over both would be of nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.records.record import DONE, hash_config
from benchmarks.settings.neutral import without_neutral
from benchmarks.settings.overrides import Overrides
from benchmarks.studies.study import Done
from benchmarks.workers.plan import Selection


def that_count(runs: Sequence[Done], selections: Sequence[Selection], data: str) -> tuple[Done, ...]:
    """The runs that came to an end, are planned, and have the newest settings.

    data: ``real`` or ``standin``; else stand-ins are left out of a task that has runs on real data.
    """
    plan = [_Planned(selection) for selection in selections]
    cells: dict[tuple[int, str, str, bool], list[Done]] = defaultdict(list)
    for run in runs:
        place = next((number for number, one in enumerate(plan) if one.has(run)), None)
        if place is not None and run.record.status in DONE:
            cells[place, run.record.task, run.record.method, _is_real(run)].append(run)
    real = {task for _, task, _, is_real in cells if is_real}
    counting = {
        run.record.run_id
        for (_, task, _, is_real), of_cell in cells.items()
        if is_real == (data == "real" or (data != "standin" and task in real))
        for run in _newest(of_cell)
    }
    return tuple(run for run in runs if run.record.run_id in counting)


def _newest(runs: Sequence[Done]) -> list[Done]:
    """The runs with the settings of the one that was finished last."""
    last = _settings(max(runs, key=lambda run: run.record.finished))
    return [run for run in runs if _settings(run) == last]


def _settings(run: Done) -> str:
    """The settings that determine a result, as a hash; without the feedback's seed, which may be that of all runs."""
    return hash_config(without_neutral({**run.record.config, "feedback_seed": "seed"}))


class _Planned:
    """A selection, whose overrides are parsed once."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        settings = Overrides.of(selection.overrides).settings
        self._values = {one.key: one.parsed.value() for one in settings if one.key.startswith(("task.", "method."))}

    def has(self, run: Done) -> bool:
        """Whether the run is one of the selection's."""
        seeds = self._selection.seeds
        return (
            run.record.task in self._selection.tasks
            and run.setting("method.name") in self._selection.methods
            and (seeds is None or run.record.seed in seeds)
            and all(_agrees(run.setting(key), value) for key, value in self._values.items() if _is_told(run, key))
        )


def _is_told(run: Done, key: str) -> bool:
    """Whether the record has the setting: one that came later is in no older record, nor one without effect."""
    return run.setting(key) is not None or key in {"task.epochs", "task.steps"}


def _agrees(found: Any, planned: Any) -> bool:
    if isinstance(found, float) and isinstance(planned, int | float):
        return math.isclose(found, planned, rel_tol=1e-9)
    return bool(found == planned)


def _is_real(run: Done) -> bool:
    return run.record.data.get("source") == "real"
