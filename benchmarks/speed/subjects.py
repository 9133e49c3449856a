"""Subjects of the timing: every architecture at published and at laptop size, stepped by the training loop."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from omegaconf import OmegaConf

from benchmarks.catalogue.discovery import architectures, representatives
from benchmarks.settings.compose import compose
from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed.data import GENERATED
from benchmarks.tasks.data_sources import resolve
from benchmarks.tasks.task import Task
from benchmarks.terminal.errors import UsageError
from benchmarks.training.loop import Loop
from benchmarks.training.randomness import seed_everything
from datasets.core.errors import AbsentError
from dfa_core import Method

#: Sizes by name: the profile whose settings they are.
PROFILES = {"published": "paper", "laptop": "quick"}
#: What a step of published size does less of, for a machine without a GPU: the ratios do not depend on it.
_FEWER_SAMPLES = {"language": ("task.streams=4",), "view_synthesis": ("task.rays=256",)}
#: Placements beside those of the representatives.
_FURTHER = ("wikitext2/micro",)
#: Without a point between layers there is nothing to compare.
_WITHOUT = ("criteo/fm",)


@dataclass(frozen=True)
class Subject:
    """A task at one size.

    Attributes:
        task: its name.
        size: one of `PROFILES`.
    """

    task: str
    size: str

    def settings(self) -> Any:
        """The task's settings at this size, as objects of the schema."""
        profile = f"profile={PROFILES[self.size]}"
        fewer = _FEWER_SAMPLES.get(compose([f"task={self.task}", profile]).task.domain, ())
        config = compose([f"task={self.task}", "method=bp", profile, *(fewer if self.size == "published" else ())])
        settings: Any = OmegaConf.to_object(config.task)
        settings.model = OmegaConf.to_container(config.task.model)
        return settings

    def stepper(self, form: Callable[[torch.nn.Module], Method], hardware: HardwareConfig) -> Stepper:
        """The training loop of this subject under a form of training, seeded."""
        settings = self.settings()
        seed_everything(0)
        task = _task(settings)
        task.model.to(torch.device(hardware.device))
        method = form(task.model)
        return Stepper(task, method, Loop(task, method, settings, hardware))


@dataclass
class Stepper:
    """Steps of :class:`benchmarks.training.loop.Loop` on batches without end: what is timed is what trains."""

    task: Task
    method: Method
    loop: Loop

    def __post_init__(self) -> None:
        self.batches: Iterator[Any] = (batch for epoch in count() for batch in self.task.batches(epoch))

    def step(self) -> None:
        """From the next batch to the update of the weights."""
        self.loop.step(next(self.batches))


def chosen(patterns: Sequence[str], sizes: Sequence[str]) -> list[Subject]:
    """The subjects whose task matches one of the patterns (names, folders, globs), or all.

    Raises:
        UsageError: a pattern matches nothing.
    """
    known = [task for task in (*representatives(), *_FURTHER) if task not in _WITHOUT]
    for pattern in patterns:
        if not any(_matches(task, pattern) for task in known):
            raise UsageError(f"TASKS={pattern}: no task that is timed matches; choose of {', '.join(known)}")
    tasks = [task for task in known if not patterns or any(_matches(task, pattern) for pattern in patterns)]
    return [Subject(task, size) for size in sizes for task in tasks]


def _matches(task: str, pattern: str) -> bool:
    return fnmatch.fnmatch(task, pattern) or task.startswith(f"{pattern.rstrip('/')}/")


def _task(settings: Any) -> Task:
    """On generated data of published size where a domain has them, on real data where they are, else on stand-ins."""
    if settings.domain in GENERATED:
        return GENERATED[settings.domain](settings)
    try:
        source = resolve(settings.dataset, "real", "paper")
    except AbsentError:
        source = resolve(settings.dataset, "standin", "quick")
    task: Task = architectures()[settings.architecture].build()(settings, source, 0)
    return task
