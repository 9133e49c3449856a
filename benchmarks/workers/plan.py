"""Planning a sweep: which runs there are, which are recorded, and in what order the rest is done."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, ListConfig, OmegaConf
from yaml import YAMLError

from benchmarks.catalogue.discovery import tasks
from benchmarks.settings.compose import compose, options
from benchmarks.settings.conf_files import CONF, BrokenFileError, broken_yaml
from benchmarks.settings.schema import PROFILES
from benchmarks.terminal.errors import UsageError, nearest
from benchmarks.training.run import Run
from datasets.core.errors import AbsentError

_OVERHEAD = 0.3  # cost of starting, testing and recording a run, however short its training


@dataclass(frozen=True)
class QueuedRun:
    """One run of a sweep: how to start it, and what it costs relative to others."""

    task: str
    method: str
    seed: int
    overrides: tuple[str, ...]
    id: str
    cost: float
    recorded: bool


@dataclass(frozen=True)
class Selection:
    """What the user asked for. Empty patterns, methods or seeds mean what the profile says."""

    profile: str
    tasks: Sequence[str] = ()
    methods: Sequence[str] = ()
    seeds: Sequence[int] | None = None
    overrides: Sequence[str] = ()


def plan(selection: Selection, on_absent: Callable[[str, str], None] | None = None) -> list[QueuedRun]:
    """All runs of a selection, cheapest task first (so that a first result comes soon), then the longest first.

    ``on_absent`` is called with the name of each task that nobody asked for by name and whose real data are not there,
    or whose file is broken, and with what to do about it; the task is left out. Without it that is an error, as for
    tasks that were named.

    Raises:
        UsageError, DataError: a task, method, setting or dataset does not exist.
    """
    methods = sorted(dict.fromkeys(selection.methods or options("method")), key=_order)
    runs: list[QueuedRun] = []

    def left_out(task: str, error: AbsentError | BrokenFileError) -> None:
        concerns_task = isinstance(error, AbsentError) or error.is_of_a_task
        if on_absent is None or selection.tasks or not concerns_task:
            raise error
        on_absent(task, str(error))

    for task in _tasks(selection, left_out):
        try:
            runs += [run for method in methods for run in _runs_of(task, method, selection)]
        except (AbsentError, BrokenFileError) as error:
            left_out(task, error)
    if not runs:
        return []
    first = min(runs, key=lambda run: run.cost).task
    return sorted(runs, key=lambda run: (run.task != first, -run.cost, run.task, run.seed, _order(run.method)))


def matching_tasks(patterns: Sequence[str]) -> list[str]:
    """Tasks that match any of the patterns: a name, a folder (``citation``) or a glob (``citation/*_cora``)."""
    known = options("task")
    chosen: set[str] = set()
    for pattern in patterns:
        found = [t for t in known if fnmatch.fnmatch(t, pattern) or t.startswith(f"{pattern.rstrip('/')}/")]
        if not found:
            raise UsageError(f"no task matches '{pattern}': did you mean {nearest(pattern, known)}?")
        chosen.update(found)
    return [task for task in known if task in chosen or not patterns]


def _tasks(selection: Selection, left_out: Callable[[str, BrokenFileError], None]) -> list[str]:
    """The tasks that were asked for; unasked, those that the profile includes."""
    matching = matching_tasks(selection.tasks)
    if selection.tasks:
        return matching
    chosen = []
    for task in matching:
        try:
            chosen += [task] if _is_in_profile(task, selection) else []
        except BrokenFileError as error:
            left_out(task, error)
    return chosen


def _is_in_profile(task: str, selection: Selection) -> bool:
    overridden = any(override.startswith("task.profiles=") for override in selection.overrides)
    if not overridden and selection.profile not in _profiles_in_file(task):
        return False
    config = compose([f"task={task}", f"profile={selection.profile}", *selection.overrides])
    return selection.profile in config.task.profiles


def _profiles_in_file(task: str) -> Sequence[str]:
    """The profiles that a task's own entry names, or all: saves composing the tasks that are for other profiles."""
    path = CONF / "task" / f"{task}.yaml"
    if task in tasks() and not path.exists():
        found: Sequence[str] = tasks()[task].settings.get("profiles", PROFILES)
        return found
    try:
        own = OmegaConf.load(path)
    except YAMLError as error:
        raise broken_yaml(error) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenFileError(path, f"{path}: {error}") from error
    named = own.get("profiles") if isinstance(own, DictConfig) else None
    return named if isinstance(named, ListConfig) else PROFILES  # what is wrong shows when the task is composed


def _runs_of(task: str, method: str, selection: Selection) -> list[QueuedRun]:
    base = [f"task={task}", f"method={method}", f"profile={selection.profile}", *selection.overrides]
    run = Run.plan(base)
    config = run.config
    _check_device(config)
    _check_method(config, selection.overrides)
    seeds = selection.seeds
    if seeds is None:
        limit = config.task.max_seeds
        seeds = range(config.profile.seeds if limit is None else min(limit, config.profile.seeds))
    cost = _OVERHEAD + config.task.cost * (config.task.epochs or config.task.steps) / 100
    return [_planned(run, seed, (*base, f"seed={seed}"), cost) for seed in seeds]


def _planned(run: Run, seed: int, overrides: tuple[str, ...], cost: float) -> QueuedRun:
    """The run with this seed, like ``run`` in all else; composed anew only where the seed changes the hash."""
    own = Run.plan(overrides) if any(o.startswith("feedback_seed=") for o in overrides) else run
    record = own.finished_record(seed)
    return QueuedRun(
        task=run.config.task.name,
        method=run.method,
        seed=seed,
        overrides=overrides,
        id=own.id_for(seed),
        cost=cost,
        recorded=record is not None and record.variant == own.variant,  # else whoever claims the run relabels it
    )


def _check_device(config: DictConfig) -> None:
    if config.hardware.device != "cpu":  # PyTorch is imported only where there is something to ask it
        from benchmarks.training.machine import torch_device

        torch_device(config.hardware.device)


def _check_method(config: DictConfig, overrides: Sequence[str]) -> None:
    """Settings that the method refuses, such as an unknown feedback, fail here and not once in every run."""
    options = dict(config.method)
    if "code" in options or not any(override.startswith("method.") for override in overrides):
        return  # as shipped; or a plugin, which may be particular about models: its runs show
    from torch import nn

    from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method

    try:
        make_method(options.pop("name"), nn.Sequential(FeedbackPoint(2), ErrorTap(2)), **options)
    except FeedbackError as error:
        raise UsageError(f"method={config.method.name}: {error}") from error


def _order(method: str) -> tuple[int, str]:
    shown_first = ("bp", "dfa", "shallow")
    return (shown_first.index(method) if method in shown_first else len(shown_first), method)
