"""Planning a sweep: which runs there are, which are recorded, and in what order the rest is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, ListConfig, OmegaConf
from yaml import YAMLError

from benchmarks.catalogue.discovery import examples, representatives, tasks
from benchmarks.catalogue.methods import method_order, standard_methods
from benchmarks.catalogue.names import task_matches
from benchmarks.settings.choices import methods_named, options
from benchmarks.settings.compose import compose
from benchmarks.settings.conf_files import CONF, BrokenFileError, broken_yaml
from benchmarks.settings.overrides import Overrides
from benchmarks.settings.schema import PROFILES
from benchmarks.terminal.errors import UsageError, nearest
from benchmarks.training.run import Run
from benchmarks.workers.expected import expected_seconds
from datasets.core.errors import AbsentError

#: A first row should come soon, but not at the price of a later end: the shortest task goes first if it takes no more
#: than this share of all.
_SHORT = 0.05


#: Words for sets of tasks.
_SETS = {"representatives": representatives, "examples": examples}


@dataclass(frozen=True)
class QueuedRun:
    """One run of a sweep: how to start it, and how many seconds it is expected to take."""

    task: str
    method: str
    seed: int
    overrides: tuple[str, ...]
    id: str
    seconds: float
    recorded: bool


@dataclass(frozen=True)
class Selection:
    """The user's choice. Empty patterns, methods or seeds mean what the profile says."""

    profile: str
    tasks: Sequence[str] = ()
    methods: Sequence[str] = ()
    seeds: Sequence[int] | None = None
    overrides: Sequence[str] = ()


def plan(selection: Selection, on_absent: Callable[[str, str], None] | None = None) -> list[QueuedRun]:
    """All runs of a selection, the longest first, so that all workers end together.

    Before them comes the shortest task, if it is short beside all others, so that a first row comes soon.

    ``on_absent`` is called with the name of each task that nobody asked for by name and whose real data are not there,
    or whose file is broken, and with what to do about it; the task is left out. Without it that is an error, as for
    tasks that were named.

    Raises:
        UsageError, DataError: a task, method, setting or dataset does not exist.
    """
    methods = sorted(dict.fromkeys(_methods(selection)), key=method_order)
    found: list[_Seeds] = []

    def left_out(task: str, error: AbsentError | BrokenFileError) -> None:
        concerns_task = isinstance(error, AbsentError) or error.is_of_a_task
        if on_absent is None or selection.tasks or not concerns_task:
            raise error
        on_absent(task, str(error))

    for task in _tasks(selection, left_out):
        try:
            found += [_seeds_of(task, method, selection) for method in methods]
        except (AbsentError, BrokenFileError) as error:
            left_out(task, error)
    expected = expected_seconds([each.run for each in found])
    return in_order([run for each, seconds in zip(found, expected, strict=True) for run in each.queued(seconds)])


def in_order(runs: Sequence[QueuedRun]) -> list[QueuedRun]:
    """The runs in the order in which workers take them."""
    of_task: dict[str, float] = {}
    for run in runs:
        if not run.recorded:
            of_task[run.task] = of_task.get(run.task, 0.0) + run.seconds
    shortest = min(of_task, key=lambda task: of_task[task], default="")
    first = shortest if of_task and of_task[shortest] <= _SHORT * sum(of_task.values()) else ""
    return sorted(runs, key=lambda run: (run.task != first, -run.seconds, run.task, run.seed, method_order(run.method)))


def matching_tasks(patterns: Sequence[str]) -> list[str]:
    """Tasks that match any of the patterns: a name, a folder (``citation``) or a glob (``citation/*_cora``).

    ``representatives`` are one task for each architecture, ``examples`` one for each domain.
    """
    known = options("task")
    chosen: set[str] = set()
    for pattern in patterns:
        if pattern in _SETS:
            chosen.update(_SETS[pattern]())
            continue
        found = [task for task in known if task_matches(task, pattern)]
        if not found:
            raise UsageError(f"no task matches '{pattern}': did you mean {nearest(pattern, known)}?")
        chosen.update(found)
    return [task for task in known if task in chosen or not patterns]


def _methods(selection: Selection) -> Sequence[str]:
    """The methods that were asked for; unasked the standard ones, and ``all`` for every one there is."""
    if not selection.methods:
        return standard_methods()
    return methods_named(selection.methods)


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
    overridden = "task.profiles" in Overrides.of(selection.overrides).keys
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


@dataclass(frozen=True)
class _Seeds:
    """The runs of a task and method, one for each seed. ``run`` is the first of them or one with another seed."""

    run: Run
    overrides: Overrides
    seeds: Sequence[int]

    def queued(self, seconds: float) -> list[QueuedRun]:
        return [_planned(self.run, seed, self.overrides.and_those([f"seed={seed}"]), seconds) for seed in self.seeds]


def _seeds_of(task: str, method: str, selection: Selection) -> _Seeds:
    choices = [f"task={task}", f"method={method}", f"profile={selection.profile}"]
    base = Overrides.of(choices).and_those(selection.overrides)
    run = Run.plan(base)
    config = run.config
    _check_device(config)
    _check_method(config, base)
    seeds = selection.seeds
    if seeds is None:
        limit = config.task.max_seeds
        seeds = range(config.profile.seeds if limit is None else min(limit, config.profile.seeds))
    return _Seeds(run, base, seeds)


def _planned(run: Run, seed: int, overrides: Overrides, seconds: float) -> QueuedRun:
    """The run with this seed, like ``run`` in all else; composed anew only where the seed changes the hash."""
    own = Run.plan(overrides) if "feedback_seed" in overrides.keys else run
    record = own.finished_record(seed)
    return QueuedRun(
        task=run.config.task.name,
        method=run.method,
        seed=seed,
        overrides=tuple(overrides),
        id=own.id_for(seed),
        seconds=seconds,
        recorded=record is not None and record.variant == own.variant,  # else whoever claims the run relabels it
    )


def _check_device(config: DictConfig) -> None:
    if config.hardware.device != "cpu":  # PyTorch is imported only where there is something to ask it
        from benchmarks.training.machine import torch_device

        torch_device(config.hardware.device)


def _check_method(config: DictConfig, overrides: Overrides) -> None:
    """Settings that the method refuses, such as an unknown feedback, fail here and not once in every run."""
    options = dict(config.method)
    if "code" in options or not any(key.startswith("method.") for key in overrides.keys):
        return  # as shipped; or a plugin, which may be particular about models: its runs show
    from torch import nn

    from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, Residual, make_method

    points = [FeedbackPoint(2, structure=Residual()) for _ in range(2)]
    try:
        make_method(options.pop("name"), nn.Sequential(*points, ErrorTap(2)), **options)
    except FeedbackError as error:
        raise UsageError(f"method={config.method.name}: {error}") from error
