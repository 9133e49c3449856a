"""Subjects of the timing: every architecture at published and at laptop size, stepped by the training loop."""

from __future__ import annotations

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
from benchmarks.training.execute import prepare_method
from benchmarks.training.loop import Loop
from benchmarks.training.randomness import seed_everything
from benchmarks.workers.plan import matching_tasks
from datasets.core.errors import AbsentError
from datasets.core.source import Source
from dfa_core import Method

#: Sizes by name: the profile whose settings they are.
PROFILES = {"published": "paper", "laptop": "quick"}
#: What a step of published size does less of, for a machine without a GPU: the ratios do not depend on it.
_FEWER_SAMPLES = {"language": ("task.streams=4",), "view_synthesis": ("task.rays=256",)}
#: Placements beside those of the representatives, which need as much memory.
_FURTHER = ("wikitext2/micro",)
#: Without a point between layers there is nothing to compare.
_WITHOUT = ("criteo/fm",)


@dataclass(frozen=True)
class Subject:
    """A task at one size.

    Attributes:
        task: its name.
        size: one of `PROFILES`.
        overrides: of its settings.
    """

    task: str
    size: str
    overrides: tuple[str, ...] = ()

    def settings(self) -> Any:
        """The task's settings at this size, as objects of the schema."""
        profile = f"profile={PROFILES[self.size]}"
        fewer = _FEWER_SAMPLES.get(compose([f"task={self.task}", profile]).task.domain, ())
        config = compose(
            [f"task={self.task}", "method=bp", profile, *(fewer if self.size == "published" else ()), *self.overrides]
        )
        settings: Any = OmegaConf.to_object(config.task)
        settings.model = OmegaConf.to_container(config.task.model)
        return settings

    @property
    def compiles(self) -> bool:
        """Whether its steps can be compiled."""
        return bool(self.settings().compiles)

    @property
    def has_peaks(self) -> bool:
        """Whether its memory is told: of small models it says nothing, of another placement what is known already."""
        return self.size == "published" and self.task not in _FURTHER

    @property
    def data(self) -> str:
        """The kind of data that its steps run on: generated, real or stand-in."""
        settings = self.settings()
        return "generated" if self._generated(settings) else _source(settings.dataset).kind

    def _generated(self, settings: Any) -> bool:
        """A data set of published size may not be there, and would take minutes to read."""
        return self.size == "published" and settings.domain in GENERATED

    def _task(self, settings: Any) -> Task:
        """On generated data of published size where a domain has them, else on the data set's, else on stand-ins."""
        if self._generated(settings):
            return GENERATED[settings.domain](settings)
        task: Task = architectures()[settings.architecture].build()(settings, _source(settings.dataset), 0)
        return task

    def stepper(self, form: Callable[[torch.nn.Module], Method], hardware: HardwareConfig) -> Stepper:
        """The training loop of this subject under a form of training, seeded.

        Raises:
            UnsuitableError: the form does not suit the network, or the task does not offer what it needs.
        """
        settings = self.settings()
        seed_everything(0)
        task = self._task(settings)
        device = torch.device(hardware.device)
        task.model.to(device)
        if hardware.compile:
            task.compile()
        method = form(task.model)
        if isinstance(method, Method):  # the re-entrant form has nothing to move
            method.to(device)
        prepare_method(task, method, hardware.compile)
        return Stepper(task, method, Loop(task, method, settings, hardware), settings)


@dataclass
class Stepper:
    """Steps of :class:`benchmarks.training.loop.Loop` on batches without end: what is timed is what trains."""

    task: Task
    method: Method
    loop: Loop
    settings: Any

    def __post_init__(self) -> None:
        self.batches: Iterator[Any] = (batch for epoch in count() for batch in self.task.batches(epoch))

    def step(self) -> None:
        """From the next batch to the update of the weights."""
        self.loop.step(next(self.batches))


def chosen(patterns: Sequence[str], sizes: Sequence[str]) -> list[Subject]:
    """The subjects among the tasks that match one of the patterns (names, folders, globs), or all.

    Raises:
        UsageError: a pattern matches no task, or only tasks that are not timed.
    """
    timed = [task for task in (*representatives(), *_FURTHER) if task not in _WITHOUT]
    asked = matching_tasks(patterns)
    tasks = [task for task in timed if task in asked]
    if not tasks:
        raise UsageError(f"{', '.join(asked)}: not timed; choose of {', '.join(timed)}")
    return [Subject(task, size) for size in sizes for task in tasks]


def _source(dataset: str) -> Source:
    try:
        return resolve(dataset, "real", "paper")
    except AbsentError:
        return resolve(dataset, "standin", "quick")
