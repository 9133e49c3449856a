"""The configuration's schema: every setting there is, with its type. Values live in `conf/`.

Typed nodes make a misspelt key or a value of the wrong type an error before anything runs. Settings that differ by
method or profile are written where they belong, as a choice:

    weight_decay: ${by_method:{bp: 5e-4, dfa: 1e-4}}
    epochs: ${by_profile:{smoke: 10, quick: 100, paper: 250}}

so a command-line override replaces the whole choice, and `--cfg job --resolve` shows what applies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Optional

from omegaconf import MISSING

from benchmarks.settings.limits import (
    COUNT,
    DATA,
    NOT_NEGATIVE,
    POSITIVE,
    PRECISION,
    PROBABILITY,
    SEED,
    Limit,
    between,
    first_problem,
    limited,
    name_of,
    one_of,
    some_of,
)
from benchmarks.terminal.arguments import MOST_SEEDS
from benchmarks.terminal.names import one_line

PROFILES = ("smoke", "quick", "long", "paper")


BETAS = Limit(
    lambda value: len(value) == 2 and all(0 <= beta < 1 for beta in value), "must be two numbers from 0 to below 1"
)
#: Without the characters that Weights & Biases does not take in the name of a project.
PROJECT = Limit(
    lambda value: re.fullmatch(r"[^/\\#?%:]{1,128}", value) is not None,
    r"must have 1 to 128 characters, none of / \ # ? % :",
)
FOLDER = Limit(lambda value: value == one_line(value) != "", "must name a folder, in characters that can be shown")


@dataclass
class OptimConfig:
    """The optimizer and what surrounds it."""

    kind: str = limited(one_of("adam", "sgd"), "adam")
    momentum: float = limited(PROBABILITY, 0.0)  # of sgd
    lr: float = limited(POSITIVE)
    betas: list[float] = limited(BETAS, (0.9, 0.999))
    eps: float = limited(NOT_NEGATIVE, 1e-8)
    weight_decay: float = limited(NOT_NEGATIVE, 0.0)
    decay: str = limited(one_of("all", "first_layer"), "all")  # which parameters decay
    clip_norm: Optional[float] = limited(POSITIVE, None)  # noqa: UP045  (OmegaConf reads Optional)
    schedule: str = limited(one_of("constant", "exponential", "noam", "plateau"), "constant")
    #: exponential: steps per factor; noam: warm-up steps; plateau: patience in evaluations
    schedule_steps: int = limited(NOT_NEGATIVE, 0)
    schedule_factor: float = limited(POSITIVE, 1.0)  # exponential, plateau: the factor


@dataclass
class TaskConfig:
    """The settings of every task, whatever its domain."""

    cpu_only: ClassVar[bool] = False  # for tasks that keep tensors of their own on the CPU
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")  # in which all operations of the networks exist
    compiles: ClassVar[bool] = True  # whether torch.compile takes the networks as wholes

    domain: str = limited(name_of("domain"))  # its name in the catalogue
    suite: str = limited(name_of("suite"), "${.domain}")  # first part of the task's name
    architecture: str = MISSING
    dataset: str = limited(name_of("dataset"))
    name: str = limited(name_of("task"), "${.suite}/${.architecture}_${.dataset}")
    metric: str = MISSING  # the test metric that stands in the tables
    model: Any = MISSING
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: Optional[int] = limited(COUNT, None)  # noqa: UP045  exactly one of epochs and steps is set
    steps: Optional[int] = limited(COUNT, None)  # noqa: UP045
    eval_every: int = limited(COUNT, 1)  # epochs, or steps
    patience: Optional[int] = limited(COUNT, None)  # noqa: UP045  evaluations without a better one before stopping early
    alignment_every: int = limited(NOT_NEGATIVE, 0)  # evaluations between measurements of the alignment; 0: at the end
    precision: str = limited(PRECISION, "fp32")  # that of the shipped settings, see HardwareConfig
    method_names: dict[str, str] = field(default_factory=dict)  # see entry_for: in records and tables; {} for its name
    skip: dict[str, str] = field(default_factory=dict)  # see entry_for: why this task does not have the method
    profiles: list[str] = limited(some_of(*PROFILES), PROFILES)  # whose sweeps include it unasked
    max_seeds: Optional[int] = limited(COUNT, None)  # noqa: UP045  for runs too long to repeat as often as asked
    cost: float = limited(POSITIVE, 1.0)  # relative length of a run, for planning only
    published: Any = "${published:}"  # the paper's numbers: metric, method, value; no setting, only shown

    def min_activations(self) -> int:
        """How many numbers a training step holds at once at least, whatever the data."""
        return 0


class ModelConfig:
    """Base of the networks' settings: every whole number among them is a size, 1 or more where it has no limit."""

    def min_parameters(self) -> int:
        """A number of parameters that the network has at least, from its sizes alone: absurd ones are refused."""
        return 0

    def min_modules(self) -> int:
        """A number of layers that the network has at least."""
        return 1

    def __post_init__(self) -> None:
        if found := first_problem(type(self), vars(self), "task.model.", COUNT):
            raise ValueError(found)


@dataclass
class ProfileConfig:
    """How much work: see `conf/profile/`."""

    name: str = limited(name_of("profile"))
    seeds: int = limited(between(1, MOST_SEEDS))
    data: str = limited(DATA, "auto")


@dataclass
class HardwareConfig:
    """Where a run takes place, and how. Threads do not enter the record's hash, all else does."""

    device: str = limited(one_of("cpu", "cuda"), "cpu")
    precision: str = limited(PRECISION, "${task.precision}")  # bf16: autocast
    threads: int = limited(COUNT, 1)
    compile: bool = False  # training steps run through torch.compile


@dataclass
class LoggerConfig:
    """The loggers besides the record and its history, which are always written."""

    name: str = limited(one_of("none", "wandb"), "none")
    mode: str = limited(one_of("offline", "online"), "offline")  # of wandb
    project: str = limited(PROJECT, "dfa-benchmarks")


@dataclass
class Config:
    """One run."""

    task: Any = MISSING
    method: Any = MISSING
    profile: ProfileConfig = MISSING
    hardware: HardwareConfig = MISSING
    logger: LoggerConfig = MISSING
    seed: int = limited(SEED, 0)
    feedback_seed: int = limited(SEED, "${seed}")
    data: str = limited(DATA, "${profile.data}")
    alignment: bool = True  # measure the alignment at the end of a run with feedback
    results: str = limited(FOLDER, "results")
    plugins: list[str] = field(default_factory=list)  # files or modules that register methods of your own
