"""Planning a sweep: which runs there are, which are recorded, and in what order the rest is done."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.compose import UsageError, nearest, options
from benchmarks.execute import Run

_OVERHEAD = 0.3  # cost of starting, testing and recording a run, however short its training


@dataclass(frozen=True)
class PlannedRun:
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


def plan(selection: Selection) -> list[PlannedRun]:
    """All runs of a selection, cheapest task first (so that a first result comes soon), then the longest first.

    Raises:
        UsageError, DataError: a task, method, setting or dataset does not exist.
    """
    methods = list(selection.methods) or options("method")
    runs: list[PlannedRun] = []
    for task in matching_tasks(selection.tasks):
        for method in sorted(methods, key=_order):
            runs += _runs_of(task, method, selection)
    if not runs:
        return []
    first = min(runs, key=lambda run: run.cost).task
    return sorted(
        runs, key=lambda run: (run.task != first, -run.cost, run.task, run.seed, _order(run.method))
    )


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


def parse_seeds(text: str) -> list[int]:
    """``3`` means seeds 0, 1, 2; ``0,4,7`` (or ``5,``) means those."""
    try:
        numbers = [int(part) for part in text.split(",") if part]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0 or (numbers == [0] and "," not in text):
        raise UsageError(f"seeds='{text}': give a count such as 3, or a list such as 0,4,7")
    return numbers if "," in text else list(range(numbers[0]))


def _runs_of(task: str, method: str, selection: Selection) -> list[PlannedRun]:
    base = [f"task={task}", f"method={method}", f"profile={selection.profile}", *selection.overrides]
    run = Run.plan(base)
    config = run.config
    seeds = selection.seeds
    if seeds is None:
        limit = config.task.max_seeds
        seeds = range(config.profile.seeds if limit is None else min(limit, config.profile.seeds))
    length = config.task.epochs or config.task.steps
    return [
        PlannedRun(
            task=config.task.name,
            method=method,
            seed=seed,
            overrides=(*base, f"seed={seed}"),
            id=run.id_for(seed),
            cost=_OVERHEAD + config.task.cost * length / 100,
            recorded=run.finished_record(seed) is not None,
        )
        for seed in seeds
    ]


def _order(method: str) -> tuple[int, str]:
    shown_first = ("bp", "dfa", "shallow")
    return (shown_first.index(method) if method in shown_first else len(shown_first), method)
