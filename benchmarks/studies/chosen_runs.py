"""Which recorded runs a study concludes from: those of its plan, with today's settings, on one kind of data.

A folder of results holds others as well: runs of an earlier version of the study, of settings that shipped once, on
stand-ins from before the data were there. A mean over both would be of nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.records.record import DONE, hash_config
from benchmarks.settings.compose import compose
from benchmarks.settings.neutral import without_neutral
from benchmarks.settings.overrides import Overrides
from benchmarks.studies.study import Done
from benchmarks.training.run import portable_settings
from benchmarks.workers.plan import Selection

_OF_A_MACHINE = {"data", "device"}


class _Identity(NamedTuple):
    """A run, by all that determines its result."""

    task: str
    seed: int
    settings: str  # their hash


def choose_runs(runs: Sequence[Done], selections: Sequence[Selection], data: str) -> tuple[Done, ...]:
    """The runs that came to an end and are planned.

    data: ``real`` or ``standin``; else stand-ins are left out of a task that has runs on real data.
    """
    tasks = {run.record.task for run in runs}
    plan = {one for selection in selections for one in _planned(selection, tasks)}
    eligible = [run for run in runs if run.record.status in DONE and _identity(run) in plan]
    real = {run.record.task for run in eligible if _is_real(run)}

    def wants_real(task: str) -> bool:
        return data == "real" or (data != "standin" and task in real)

    return tuple(run for run in eligible if _is_real(run) == wants_real(run.record.task))


def _planned(selection: Selection, tasks: set[str]) -> Iterator[_Identity]:
    """The runs of a selection, as far as they are of these tasks."""
    for task in set(selection.tasks) & tasks:
        for method in selection.methods:
            choices = [f"task={task}", f"method={method}", f"profile={selection.profile}"]
            overrides = Overrides.of(choices).and_those(selection.overrides)
            shared = None if "feedback_seed" in overrides.keys else _hash(portable_settings(compose(overrides)))
            for seed in selection.seeds or ():
                own = shared or _hash(portable_settings(compose(overrides.and_those([f"seed={seed}"]))))
                yield _Identity(task, seed, own)


def _identity(run: Done) -> _Identity:
    return _Identity(run.record.task, run.record.seed, _hash(run.record.config))


def _hash(settings: Mapping[str, Any]) -> str:
    return hash_config(without_neutral({key: value for key, value in settings.items() if key not in _OF_A_MACHINE}))


def _is_real(run: Done) -> bool:
    return run.record.data.get("source") == "real"
