"""Which values settings may have, beyond their types: checked when a run is planned, before anything is loaded."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmarks.config import PROFILES

Rule = tuple[Callable[[Any], bool], str]

_COUNT: Rule = (lambda value: value >= 1, "must be 1 or more")
_POSITIVE: Rule = (lambda value: value > 0, "must be greater than 0")
_NOT_NEGATIVE: Rule = (lambda value: value >= 0, "must be 0 or more")
_PROBABILITY: Rule = (lambda value: 0 <= value <= 1, "must lie between 0 and 1")
_SEED: Rule = (lambda value: 0 <= value < 2**32, "must lie between 0 and 2**32 - 1")
_BETAS: Rule = (
    lambda value: len(value) == 2 and all(0 <= beta < 1 for beta in value),
    "must be two numbers from 0 to below 1",
)


def _one_of(*choices: str) -> Rule:
    return lambda value: value in choices, f"choose {', '.join(choices[:-1])} or {choices[-1]}"


_PRECISION: Rule = _one_of("fp32", "bf16")

#: What each setting must fulfil; a setting that is null is not checked.
RULES: Mapping[str, Rule] = {
    "task.epochs": _COUNT,
    "task.steps": _COUNT,
    "task.eval_every": _COUNT,
    "task.patience": _COUNT,
    "task.max_seeds": _COUNT,
    "task.alignment_every": _NOT_NEGATIVE,
    "task.precision": _PRECISION,
    "task.profiles": (lambda value: set(value) <= set(PROFILES), f"choose from {', '.join(PROFILES)}"),
    "task.rows": _COUNT,
    "task.threshold": _COUNT,
    "task.split_seed": _SEED,
    "task.batch_size": (lambda value: value >= 2, "must be 2 or more"),  # batch norm needs two
    "task.eval_batch_size": _COUNT,
    "task.embedding_update": _one_of("sparse", "dense"),
    "task.model.linear_std": _NOT_NEGATIVE,
    "task.streams": _COUNT,
    "task.eval_batch": _COUNT,
    "task.eval_stride": _COUNT,
    "task.end_of_line": _one_of("keep", "drop"),
    "task.unknown": _one_of("token", "text"),
    "task.rays": _COUNT,
    "task.coarse_samples": (lambda value: value >= 3, "must be 3 or more"),
    "task.fine_samples": _COUNT,
    "task.density_noise": _NOT_NEGATIVE,
    "task.valid_views": _COUNT,
    "task.chunk": _COUNT,
    "task.downscale": _COUNT,
    "task.longest_side": _COUNT,
    "task.every_test_view": _COUNT,
    "task.holdout": (lambda value: value >= 2, "must be 2 or more"),
    "task.llff_factor": _COUNT,
    "task.optim.lr": _POSITIVE,
    "task.optim.betas": _BETAS,
    "task.optim.eps": _NOT_NEGATIVE,
    "task.optim.weight_decay": _NOT_NEGATIVE,
    "task.optim.decay": _one_of("all", "first_layer"),
    "task.optim.clip_norm": _POSITIVE,
    "task.optim.schedule": _one_of("constant", "exponential", "noam", "plateau"),
    "task.optim.schedule_steps": _NOT_NEGATIVE,
    "task.optim.schedule_factor": _POSITIVE,
    "hardware.device": _one_of("cpu", "cuda"),
    "hardware.precision": _PRECISION,
    "hardware.threads": _COUNT,
    "logger.name": _one_of("none", "wandb"),
    "logger.mode": _one_of("offline", "online"),
    "data": _one_of("auto", "real", "standin"),
    "seed": _SEED,
    "feedback_seed": _SEED,
}


def problem(config: DictConfig) -> str | None:
    """The first thing wrong with the values of a resolved configuration, in one line; ``None`` if all is well."""
    if missing := sorted(OmegaConf.missing_keys(config)):
        return f"{missing[0]}: needs a value; give {missing[0]}=..."
    for found in (_range_problem(config), _model_problem(config), _budget_problem(config), _logger_problem(config)):
        if found:
            return found
    return None


def _range_problem(config: DictConfig) -> str | None:
    for key, value in _numbers(OmegaConf.to_container(config)):
        if not math.isfinite(value):
            return f"{key}={value}: must be a finite number"
    for key, (allowed, requirement) in RULES.items():
        value = OmegaConf.select(config, key)
        if value is not None and not allowed(value):
            return f"{key}={value}: {requirement}"
    return None


def _model_problem(config: DictConfig) -> str | None:
    for key, value in _numbers({"task": {"model": OmegaConf.to_container(config.task.model)}}):
        allowed, requirement = _PROBABILITY if "dropout" in key else _NOT_NEGATIVE
        if not allowed(value) and ("dropout" in key or isinstance(value, int)):
            return f"{key}={value}: {requirement}"
    return None


def _budget_problem(config: DictConfig) -> str | None:
    task, optim = config.task, config.task.optim
    if (task.epochs is None) == (task.steps is None):
        return "set exactly one of task.epochs and task.steps, the other to null"
    if optim.schedule in ("exponential", "noam") and optim.schedule_steps < 1:
        return f"task.optim.schedule={optim.schedule}: needs task.optim.schedule_steps, 1 or more"
    if optim.schedule == "plateau" and optim.schedule_factor >= 1:
        return "task.optim.schedule=plateau: needs a task.optim.schedule_factor below 1"
    return None


def _logger_problem(config: DictConfig) -> str | None:
    if config.logger.name == "wandb" and importlib.util.find_spec("wandb") is None:
        return "logger=wandb: wandb is not installed; pip install wandb, or use logger=none"
    return None


def _numbers(value: Any, key: str = "") -> Iterable[tuple[str, int | float]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value
