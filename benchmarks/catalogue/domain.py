"""The entries of a domain's catalogue."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from benchmarks.catalogue.metric import Metric


def imported(reference: str) -> Any:
    """The object that ``reference`` names, ``package.module:name``."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Architecture:
    """One architecture: its settings, its network, and what its runs measure.

    Classes are named, not imported (``package.module:Class``): planning and `--help` need the schemas only, and tables
    not even those. What is empty here is the domain's.

    Attributes:
        settings: the dataclass of `task.model`.
        network: the class of the network, for a domain whose builder serves several.
        task: the dataclass of `task`.
        builder: called with (task settings, data source, seed) → Task.
        datasets: what it can be trained on; ``scenes/*`` admits all names that begin so.
        metrics: what its runs measure; one of them stands in the tables.
        skip: why it does not have a method, by the method's name; ``others`` speaks of all but bp.
        lacks: why its tasks do not offer what some methods need ("targets", "heads"), by the need.
        loss_tolerance: as of `Domain`, where the architecture amplifies rounding more than its neighbours.
        representative: the task that stands for the architecture where every method is tried; by default its first one.
        recipe_of: the architecture of which this is another published recipe of optimization, without bp and shallow of
            its own to be compared with. Rows of the reference table whose note begins with ``recipe`` are its own.
    """

    name: str
    title: str
    settings: str
    network: str = ""
    task: str = ""
    builder: str = ""
    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    skip: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    loss_tolerance: float | None = None
    representative: str = ""
    recipe_of: str = ""
    recipe: str = ""

    @cached_property
    def task_config(self) -> Any:
        """The dataclass of the task's settings."""
        found: Any = imported(self.task)
        return found

    @cached_property
    def model_config(self) -> Any:
        """The dataclass of the network's settings."""
        found: Any = imported(self.settings)
        return found

    @cached_property
    def network_class(self) -> Any:
        """The class of the network."""
        return imported(self.network)

    def build(self) -> Callable[..., Any]:
        """Import and return the builder."""
        builder: Callable[..., Any] = imported(self.builder)
        return builder

    def completed(self, domain: Domain) -> Architecture:
        """The entry with the domain's word for what it leaves open."""
        first = next((task.name for task in domain.tasks if task.architecture == self.name), "")
        return replace(
            self,
            task=self.task or domain.task,
            builder=self.builder or domain.builder,
            datasets=self.datasets or tuple(domain.datasets),
            metrics=self.metrics or domain.measures,
            representative=self.representative or first,
            skip={**domain.skip, **self.skip},
            lacks={**domain.lacks, **self.lacks},
            loss_tolerance=domain.loss_tolerance if self.loss_tolerance is None else self.loss_tolerance,
        )


@dataclass(frozen=True)
class Task:
    """A task that is an architecture on a dataset and says nothing of its own beside: it needs no file in conf/task.

    Attributes:
        name: as in ``task=NAME``.
        bases: further files of conf/architecture that it is made of.
        settings: what it sets; a file of the same name in conf/task replaces the whole entry.
    """

    name: str
    architecture: str
    dataset: str
    bases: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """One table: all cells of its domain that hold one of ``metrics``, a row per dataset and architecture.

    ``methods`` limits the columns to these (empty: every method there is), ``without`` leaves methods out.
    ``scenes`` is "each" where every scene has its row, "mean" where a row is the mean over a dataset's scenes
    (scenes are datasets named ``nerf_synthetic/lego``). ``shown`` tables are printed where all tables are asked for.
    """

    name: str
    title: str
    metrics: tuple[str, ...]
    methods: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    scenes: str = "each"
    decimals: int | None = None  # instead of the metric's
    shown: bool = True
    domain: str = ""  # filled in by `Domain`

    def takes(self, method: str) -> bool:
        """Whether ``method`` has a column."""
        return method not in self.without and (not self.methods or method in self.methods)


@dataclass(frozen=True)
class Domain:
    """A family of tasks that share data, metrics and tables.

    Attributes:
        title: as it reads in tables.
        task, builder: as of `Architecture`, for all that have none of their own.
        datasets: titles by name, in the order of the tables; ``scenes/*`` is any name that begins so.
        samples: samples of a dataset, the largest first: means take the largest that has runs, and no other.
        measures: what a run measures, by the metrics' names; one of them stands in the tables.
        skip, lacks: as of `Architecture`, for all its architectures.
        metrics: those that this domain brings along; others are in `benchmarks.records.metrics`.
        loss_tolerance: by how much, relative, the mean training loss of a run may differ on another processor.
        example: the task that stands for the domain where every method is tried in little time; by default its first.
        own_datasets: those that lie in this package, as ``package.module:name``; others are packages of `datasets`.
        quoted: titles of baselines that the paper quotes from others: rows in which nothing of ours ever stands.
        former_names: what records of earlier versions call the domain.
    """

    name: str
    title: str
    task: str
    builder: str
    architectures: tuple[Architecture, ...]
    datasets: Mapping[str, str]
    samples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measures: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    skip: Mapping[str, str] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    loss_tolerance: float | None = None
    example: str = ""
    own_datasets: tuple[str, ...] = ()
    quoted: Mapping[str, str] = field(default_factory=dict)
    former_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", tuple(replace(table, domain=self.name) for table in self.tables))
        object.__setattr__(self, "architectures", tuple(one.completed(self) for one in self.architectures))
