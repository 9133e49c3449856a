"""A search: its trials, planned like the runs of a sweep, and run by a sweep's workers.

A trial is a run with overridden settings, nothing more. It is recorded as any other, so a search that was stopped goes
on where it was, one with more trials repeats none, and two in one folder leave each other's runs alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from benchmarks.catalogue.methods import entry_for
from benchmarks.settings.choices import ALL, methods_named, options
from benchmarks.settings.compose import compose
from benchmarks.terminal.errors import UsageError, nearest
from benchmarks.tune.space import Space, Value
from benchmarks.tune.validation import blind, validation_metric
from benchmarks.workers.outcome import Outcome
from benchmarks.workers.plan import QueuedRun, Selection, plan
from benchmarks.workers.workload import Tally, jobs_for, work_through


@dataclass(frozen=True)
class Search:
    """A search. ``overrides`` hold for all trials and for the shipped settings beside them."""

    task: str
    methods: tuple[str, ...]
    space: Space
    trials: int
    seed: int  # of the sequence of points
    profile: str
    seeds: tuple[int, ...]  # of the runs; a trial's value is the mean over them
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One point, tried by one method, a run for each seed. Number 0 is the task as it ships, outside the budget."""

    method: str
    number: int
    settings: Mapping[str, Value]
    metric: str  # what it is judged by, on the validation split
    runs: tuple[QueuedRun, ...]

    @property
    def is_shipped(self) -> bool:
        """Whether these are the shipped settings."""
        return self.number == 0


def methods_of(task: str, asked: Sequence[str]) -> tuple[str, ...]:
    """The methods to search: those that were asked for, each once, or all that the task has.

    Raises:
        UsageError: the task does not exist, or it has not the method.
    """
    if task not in options("task"):
        raise UsageError(f"unknown task '{task}': did you mean {nearest(task, options('task'))}?")
    skip = compose([f"task={task}"]).task.skip
    named = methods_named(asked)
    if not asked or ALL in asked:
        return tuple(method for method in options("method") if entry_for(method, skip) is None)
    for method in named:
        if (reason := entry_for(method, skip)) is not None:
            raise UsageError(f"method={method}: {task} does not have it ({reason}); leave it out")
    return tuple(named)


def trials_of(search: Search) -> list[Trial]:
    """All trials, by number, so that a stopped search has done about as much of each method.

    Raises:
        UsageError, DataError: the task has no such setting or not over this range, or its data do not exist.
    """
    _check_overrides(search)
    for method in search.methods:
        _check_space(search, method)
    points = {m: [{}, *search.space.points(m, search.trials, search.seed)] for m in search.methods}  # number 0: shipped
    return [_trial(search, m, number, points[m][number]) for number in range(search.trials + 1) for m in search.methods]


def override(key: str, value: Value) -> str:
    """``key=value`` as Hydra reads it."""
    return f"{key}={json.dumps(value)}"


def key_of(text: str) -> str:
    """The setting that an override overrides."""
    return text.lstrip("+").partition("=")[0]


def _check_overrides(search: Search) -> None:
    searched = {key for method in search.methods for key in search.space.of(method)}
    for text in search.overrides:
        if key_of(text) in searched:
            raise UsageError(f"'{text}': space '{search.space.name}' searches it; leave it out or choose another space")


def _check_space(search: Search, method: str) -> None:
    """Compose at the ends of the space: whatever is wrong with it shows before the first run."""
    base = [f"task={search.task}", f"method={method}", f"profile={search.profile}", *search.overrides]
    compose(base)  # what is wrong here is not the space's fault
    for point in search.space.ends(method):
        try:
            compose([*base, *(override(key, value) for key, value in point.items())])
        except UsageError as error:
            raise UsageError(
                f"space '{search.space.name}', {search.task}, {method}: {error}; space=rate has the learning rate alone"
            ) from error


def _trial(search: Search, method: str, number: int, settings: Mapping[str, Value]) -> Trial:
    overrides = [*search.overrides, *(override(key, value) for key, value in settings.items())]
    runs = plan(Selection(search.profile, [search.task], [method], search.seeds, overrides))
    metric = compose([f"task={search.task}", f"method={method}", f"profile={search.profile}"]).task.metric
    return Trial(method, number, dict(settings), validation_metric(metric), tuple(runs))


def perform(trials: Iterable[Trial], jobs: int | None, plugins: Sequence[str], console: Console) -> Tally:
    """Do all runs of the trials that are not recorded, in parallel processes.

    What is shown of a run is its validation metric.
    """
    runs = _distinct(trials)
    return work_through(runs, jobs_for(jobs, runs), plugins, console, shown=_blinded)


def _distinct(trials: Iterable[Trial]) -> list[QueuedRun]:
    """Each run once, named by its trial: two points over a few choices can be the same, or the shipped settings."""
    runs: dict[str, QueuedRun] = {}
    for trial in trials:
        name = "shipped" if trial.is_shipped else f"trial {trial.number}"
        for run in trial.runs:
            runs.setdefault(run.id, dataclasses.replace(run, task=f"{run.task} {name}"))
    return list(runs.values())


def _blinded(outcome: Outcome) -> Outcome:
    return dataclasses.replace(outcome, record=outcome.record and blind(outcome.record))
