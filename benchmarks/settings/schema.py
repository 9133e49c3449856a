"""The configuration's schema: every setting there is, with its type. Values live in `conf/`.

Typed nodes make a misspelt key or a value of the wrong type an error before anything runs. Settings that differ by
method or profile are written where they belong, as a choice:

    weight_decay: ${by_method:{bp: 5e-4, dfa: 1e-4}}
    epochs: ${by_profile:{smoke: 10, quick: 100, paper: 250}}

so a command-line override replaces the whole choice, and `--cfg job --resolve` shows what applies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

PROFILES = ("smoke", "quick", "long", "paper")


@dataclass
class OptimConfig:
    """Adam and what surrounds it."""

    lr: float = MISSING
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8
    weight_decay: float = 0.0
    decay: str = "all"  # which parameters decay: all | first_layer
    clip_norm: Optional[float] = None  # noqa: UP045  (OmegaConf reads Optional)
    schedule: str = "constant"  # constant | exponential | noam | plateau
    schedule_steps: int = 0  # exponential: steps per factor; noam: warm-up steps; plateau: patience in evaluations
    schedule_factor: float = 1.0  # exponential, plateau: the factor


@dataclass
class TaskConfig:
    """What every task has, whatever its domain."""

    cpu_only: ClassVar[bool] = False  # for tasks that keep tensors of their own on the CPU
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")  # in which all operations of the networks exist
    datasets: ClassVar[tuple[str, ...]] = ("*",)  # patterns of the names that the builder can load

    suite: str = MISSING  # folder of the task's config, first part of its name
    domain: str = MISSING  # as in results/paper/reference.csv
    architecture: str = MISSING
    dataset: str = MISSING
    name: str = "${.suite}/${.architecture}_${.dataset}"
    metric: str = MISSING  # the test metric that stands in the tables
    model: Any = MISSING
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: Optional[int] = None  # noqa: UP045  exactly one of epochs and steps is set
    steps: Optional[int] = None  # noqa: UP045
    eval_every: int = 1  # epochs, or steps
    patience: Optional[int] = None  # noqa: UP045  evaluations without a better one before stopping early
    alignment_every: int = 0  # evaluations between measurements of the alignment while training; 0: at the end only
    precision: str = "fp32"  # that of the shipped settings, see HardwareConfig
    method_names: dict[str, str] = field(default_factory=dict)  # see entry_for: in records and tables; {} for its name
    skip: dict[str, str] = field(default_factory=dict)  # see entry_for: why this task does not have the method
    profiles: list[str] = field(default_factory=lambda: list(PROFILES))  # whose sweeps include it unasked
    max_seeds: Optional[int] = None  # noqa: UP045  for runs too long to repeat as often as the profile asks
    cost: float = 1.0  # relative length of a run, for planning only

    def least_activations(self) -> int:
        """How many numbers a training step holds at once at least, whatever the data."""
        return 0


def entry_for(method: str, entries: Mapping[str, str]) -> str | None:
    """What a task says of ``method``; ``others`` speaks of all that have no entry of their own, bp excepted."""
    return entries.get(method, None if method == "bp" else entries.get("others"))


class ModelConfig:
    """Base of the networks' settings: every whole number among them is a size, and has a least value."""

    minimum: ClassVar[dict[str, int]] = {}  # where it is not 1
    maximum: ClassVar[dict[str, int]] = {}  # where memory is not what limits it
    choices: ClassVar[dict[str, tuple[str, str]]] = {}  # of settings that are words

    def least_parameters(self) -> int:
        """A number of parameters that the network has at least, from its sizes alone: absurd ones are refused."""
        return 0

    def least_modules(self) -> int:
        """A number of layers that the network has at least."""
        return 1

    def __post_init__(self) -> None:
        for name, (one, other) in self.choices.items():
            if (word := getattr(self, name)) not in (one, other):
                raise ValueError(f"task.model.{name}={word}: choose {one} or {other}")
        for setting in fields(self):  # type: ignore[arg-type]
            value, least = getattr(self, setting.name), self.minimum.get(setting.name, 1)
            if isinstance(value, int) and not isinstance(value, bool) and value < least:
                raise ValueError(f"task.model.{setting.name}={value}: must be {least} or more")
            if (most := self.maximum.get(setting.name)) is not None and value > most:
                raise ValueError(f"task.model.{setting.name}={value}: must be {most} or less")


@dataclass
class ProfileConfig:
    """How much work: see `conf/profile/`."""

    name: str = MISSING
    seeds: int = MISSING
    data: str = "auto"


@dataclass
class HardwareConfig:
    """Where a run takes place. Threads do not enter the record's hash, device and precision do."""

    device: str = "cpu"
    precision: str = "${task.precision}"  # fp32 | bf16 (autocast)
    threads: int = 1


@dataclass
class LoggerConfig:
    """What is written besides the record and its history, which always are."""

    name: str = "none"  # none | wandb
    mode: str = "offline"  # wandb: offline | online
    project: str = "dfa-benchmarks"


@dataclass
class Config:
    """One run."""

    task: Any = MISSING
    method: Any = MISSING
    profile: ProfileConfig = MISSING
    hardware: HardwareConfig = MISSING
    logger: LoggerConfig = MISSING
    seed: int = 0
    feedback_seed: int = "${seed}"  # type: ignore[assignment]
    data: str = "${profile.data}"  # auto | real | standin
    alignment: bool = True  # measure the alignment at the end of a run with feedback
    results: str = "results"
    plugins: list[str] = field(default_factory=list)  # files or modules that register methods of your own


def _chosen(choices: DictConfig, key: str, what: str, fallback: str | None) -> Any:
    if key in choices:
        return choices[key]
    if fallback is not None and fallback in choices:
        return choices[fallback]
    raise ValueError(f"no setting for {what} '{key}': the choice has {', '.join(map(str, choices))}")


def by_method(choices: DictConfig, *, _root_: DictConfig) -> Any:
    """The entry for the run's method; a method without published settings takes those of `dfa`."""
    return _chosen(choices, _root_.method.name, "method", "dfa")


def by_profile(choices: DictConfig, *, _root_: DictConfig) -> Any:
    """The entry for the run's profile; `long` without one of its own takes that of `paper`."""
    profile = _root_.profile.name
    return _chosen(choices, profile, "profile", "paper" if profile == "long" else None)


def by_dataset(choices: DictConfig, *, _root_: DictConfig) -> Any:
    """The entry for the task's dataset, or `default`."""
    return _chosen(choices, _root_.task.dataset, "dataset", "default")


def register_schema() -> None:
    """Make schema and resolvers known to Hydra; may be called more than once."""
    from benchmarks.settings.architectures import architectures

    for resolver in (by_method, by_profile, by_dataset):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    store.store(group="profile", name="schema", node=ProfileConfig)
    for name, architecture in architectures().items():
        node = OmegaConf.structured(architecture.task_config)
        node.model = OmegaConf.structured(architecture.model_config)
        store.store(group="schema", name=name, node=node)
