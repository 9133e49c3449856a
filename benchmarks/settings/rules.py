"""Which values settings may have, beyond their types: checked when a run is planned, before anything is loaded.

One gate, `problem`, and one table, `RULES`, which has a line for each setting of the schema that holds a number or a
word. The sizes of networks have theirs beside them (`schema.ModelConfig`), since other sizes belong to other networks.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmarks.settings import capacity
from benchmarks.settings.architectures import architectures
from benchmarks.settings.schema import PROFILES, entry_for
from benchmarks.terminal.arguments import MOST_SEEDS
from benchmarks.terminal.names import LARGEST_SEED, one_line, problem_of_name, problem_of_seed

Rule = tuple[Callable[[Any], bool], str]

#: No count is larger: of anything that is counted here, nobody has more, and all arithmetic is exact.
MOST = 10**9
#: Numbers are fp32 where they are used: beyond these they become infinity and 0.
LARGEST, SMALLEST = 3.4e38, 1.2e-38
#: Bytes of a parameter in training: its value, its gradient and Adam's two moments, 4 each.
_BYTES_OF_PARAMETER, _BYTES_OF_NUMBER = 16, 4
#: Bytes of a layer, whatever its size: Python's objects.
_BYTES_OF_MODULE = 2_000

_COUNT: Rule = (lambda value: value >= 1, "must be 1 or more")
_POSITIVE: Rule = (lambda value: value > 0, "must be greater than 0")
_NOT_NEGATIVE: Rule = (lambda value: value >= 0, "must be 0 or more")
_PROBABILITY: Rule = (lambda value: 0 <= value <= 1, "must lie between 0 and 1")
_SEED: Rule = (lambda value: problem_of_seed(value) is None, f"must lie between 0 and {LARGEST_SEED}")
_BETAS: Rule = (
    lambda value: len(value) == 2 and all(0 <= beta < 1 for beta in value),
    "must be two numbers from 0 to below 1",
)
#: Characters that Weights & Biases does not take in the name of a project.
_PROJECT: Rule = (
    lambda value: re.fullmatch(r"[^/\\#?%:]{1,128}", value) is not None,
    r"must have 1 to 128 characters, none of / \ # ? % :",
)


def _at_least(least: int) -> Rule:
    return lambda value: value >= least, f"must be {least} or more"


def _one_of(*choices: str) -> Rule:
    return lambda value: value in choices, f"choose {', '.join(choices[:-1])} or {choices[-1]}"


def _name(kind: str) -> Rule:
    return lambda value: problem_of_name(kind, value) is None, f"is no name of a {kind}; use letters, digits and _"


_PRECISION: Rule = _one_of("fp32", "bf16")

#: What each setting must fulfil; a setting that is null is not checked.
RULES: Mapping[str, Rule] = {
    "task.dataset": _name("dataset"),
    "task.suite": _name("suite"),
    "task.domain": _name("domain"),
    "task.name": _name("task"),  # follows from the others, where it is not given
    "task.epochs": _COUNT,
    "task.steps": _COUNT,
    "task.eval_every": _COUNT,
    "task.patience": _COUNT,
    "task.max_seeds": _COUNT,
    "task.cost": _POSITIVE,
    "task.alignment_every": _NOT_NEGATIVE,
    "task.precision": _PRECISION,
    "task.profiles": (lambda value: set(value) <= set(PROFILES), f"choose from {', '.join(PROFILES)}"),
    "task.split": _one_of("public", "folds"),
    "task.rows": _COUNT,
    "task.threshold": _COUNT,
    "task.split_seed": _SEED,
    "task.batch_size": _at_least(2),  # batch norm needs two
    "task.eval_batch_size": _COUNT,
    "task.embedding_update": _one_of("sparse", "dense"),
    "task.vocabulary": _at_least(258),  # 256 bytes, a special token and a merge
    "task.streams": _COUNT,
    "task.eval_batch": _COUNT,
    "task.eval_stride": _COUNT,
    "task.end_of_line": _one_of("keep", "drop"),
    "task.unknown": _one_of("token", "text"),
    "task.rays": _COUNT,
    "task.coarse_samples": _at_least(3),
    "task.fine_samples": _COUNT,
    "task.density_noise": _NOT_NEGATIVE,
    "task.valid_views": _COUNT,
    "task.chunk": _COUNT,
    "task.downscale": _COUNT,
    "task.longest_side": _COUNT,
    "task.every_test_view": _COUNT,
    "task.holdout": _at_least(2),
    "task.llff_factor": _COUNT,
    "task.model.linear_std": _NOT_NEGATIVE,
    "task.optim.lr": _POSITIVE,
    "task.optim.betas": _BETAS,
    "task.optim.eps": _NOT_NEGATIVE,
    "task.optim.weight_decay": _NOT_NEGATIVE,
    "task.optim.decay": _one_of("all", "first_layer"),
    "task.optim.clip_norm": _POSITIVE,
    "task.optim.schedule": _one_of("constant", "exponential", "noam", "plateau"),
    "task.optim.schedule_steps": _NOT_NEGATIVE,
    "task.optim.schedule_factor": _POSITIVE,
    "profile.name": _name("profile"),
    "profile.seeds": (lambda value: 1 <= value <= MOST_SEEDS, f"must lie between 1 and {MOST_SEEDS}"),
    "profile.data": _one_of("auto", "real", "standin"),
    "hardware.device": _one_of("cpu", "cuda"),
    "hardware.precision": _PRECISION,
    "hardware.threads": _COUNT,
    "logger.name": _one_of("none", "wandb"),
    "logger.mode": _one_of("offline", "online"),
    "logger.project": _PROJECT,
    "data": _one_of("auto", "real", "standin"),
    "seed": _SEED,
    "feedback_seed": _SEED,
    "results": (lambda value: value == one_line(value) != "", "must name a folder, in characters that can be shown"),
}


def problem(config: DictConfig) -> str | None:
    """The first thing wrong with the values of a resolved configuration, in one line; ``None`` if all is well."""
    if missing := sorted(OmegaConf.missing_keys(config)):
        return f"{missing[0]}: needs a value; give {missing[0]}=..."
    checks = (_number_problem, _rule_problem, _fit_problem, _budget_problem, _thread_problem, _size_problem,
              _logger_problem)  # fmt: skip
    return next(filter(None, (check(config) for check in checks)), None)


def _number_problem(config: DictConfig) -> str | None:
    for key, value in _numbers(OmegaConf.to_container(config)):
        if isinstance(value, float) and not math.isfinite(value):
            return f"{key}={value}: must be a finite number"
        if isinstance(value, int) and abs(value) > MOST and not key.endswith("seed"):
            return f"{key}={_short(value)}: must be {MOST:,} or less"
        if isinstance(value, float) and value and not SMALLEST <= abs(value) <= LARGEST:
            return f"{key}={value}: must be 0, or lie between {SMALLEST} and {LARGEST}, where fp32 has numbers"
    return None


def _rule_problem(config: DictConfig) -> str | None:
    for key, (allowed, requirement) in RULES.items():
        value = OmegaConf.select(config, key)
        if value is not None and not allowed(value):
            return f"{key}={_short(value)}: {requirement}"
    for key, value in _numbers({"task": {"model": OmegaConf.to_container(config.task.model)}}):
        if "dropout" in key and not _PROBABILITY[0](value):
            return f"{key}={value}: {_PROBABILITY[1]}"
    return None


def _fit_problem(config: DictConfig) -> str | None:
    """What a task cannot have: a network, data, a precision or a metric that is not its own."""
    task = config.task
    schema, known = OmegaConf.get_type(task), architectures()
    found = known.get(task.architecture)
    if found is None or (found.task_config, found.model_config) != (schema, OmegaConf.get_type(task.model)):
        fitting = [name for name, other in known.items() if other.model_config is OmegaConf.get_type(task.model)]
        return f"task.architecture={_short(task.architecture)}: this task has the settings of {' or '.join(fitting)}"
    if not any(fnmatch.fnmatchcase(task.dataset, pattern) for pattern in schema.datasets):
        return f"task.dataset={task.dataset}: {task.architecture} takes {', '.join(schema.datasets)}"
    if config.hardware.precision not in schema.precisions:
        return (
            f"hardware.precision={config.hardware.precision}: {task.name} runs in {', '.join(schema.precisions)} only"
        )
    if task.metric not in found.metrics:
        return f"task.metric={_short(task.metric)}: {task.architecture} measures {', '.join(found.metrics)}"
    shown = (entry_for(config.method.name, task.method_names) or "").replace("{}", config.method.name)
    if shown and (wrong := problem_of_name("method", shown)):
        return f"task.method_names: {wrong}"
    return None


def _budget_problem(config: DictConfig) -> str | None:
    task, optim = config.task, config.task.optim
    if (task.epochs is None) == (task.steps is None):
        return "set exactly one of task.epochs and task.steps, the other to null"
    if optim.schedule in ("exponential", "noam") and optim.schedule_steps < 1:
        return f"task.optim.schedule={optim.schedule}: needs task.optim.schedule_steps, 1 or more"
    if optim.schedule == "plateau" and optim.schedule_factor >= 1:
        return "task.optim.schedule=plateau: needs a task.optim.schedule_factor below 1"
    if optim.schedule == "exponential" and optim.schedule_factor > 1:  # grows beyond all bounds
        return "task.optim.schedule=exponential: needs a task.optim.schedule_factor of 1 or less"
    return None


def _thread_problem(config: DictConfig) -> str | None:
    threads, most = config.hardware.threads, capacity.most_threads()
    if threads > most:
        return f"hardware.threads={threads}: must be {most} or less, {capacity.PER_CORE} for each core of this machine"
    return None


def _size_problem(config: DictConfig) -> str | None:
    """Sizes that contradict each other, and networks that this machine cannot hold."""
    try:
        task = OmegaConf.to_object(config.task)
    except ValueError as error:  # of `ModelConfig`
        return str(error)
    model = task.model
    needed = _BYTES_OF_PARAMETER * model.least_parameters() + _BYTES_OF_MODULE * model.least_modules()
    needed += _BYTES_OF_NUMBER * task.least_activations()
    if needed > (there := capacity.memory()):
        sizes = ", ".join(f"{key}={value}" for key, value in vars(model).items() if _is_size(value))
        return f"task.model ({sizes}): needs {needed / 2**30:,.0f} GB at least; this machine has {there / 2**30:,.0f}"
    return None


def _logger_problem(config: DictConfig) -> str | None:
    if config.logger.name == "wandb" and importlib.util.find_spec("wandb") is None:
        return "logger=wandb: wandb is not installed; pip install wandb, or use logger=none"
    return None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    """A value for a message; Python refuses to spell out whole numbers of more than 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    text = one_line(str(value))
    return text if len(text) <= 60 else f"{text[:59]}…"


def _numbers(value: Any, key: str = "") -> Iterable[tuple[str, int | float]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value
