"""Whether a composed configuration can be run: checked when a run is planned, before anything is loaded.

One gate, `problem`. What a single setting may be stands where it is declared (`limits`); here is what settings must be
together.
"""

from __future__ import annotations

import fnmatch
import importlib.util
from collections.abc import Iterator
from typing import cast

from omegaconf import MISSING, DictConfig, OmegaConf

from benchmarks.catalogue.discovery import architectures
from benchmarks.catalogue.methods import entry_for
from benchmarks.settings import capacity
from benchmarks.settings.given import leaves
from benchmarks.settings.limits import COUNT, as_given, first_problem, is_count, number_problem
from benchmarks.settings.schema import Config, TaskConfig
from benchmarks.terminal.names import problem_of_name

#: Bytes of a parameter in training: its value, its gradient and Adam's two moments, 4 each.
_BYTES_OF_PARAMETER, _BYTES_OF_NUMBER = 16, 4
#: Bytes of a layer, whatever its size: Python's objects.
_BYTES_OF_MODULE = 2_000


def problem(config: DictConfig) -> str | None:
    """The first thing wrong with the values of a resolved configuration, in one line; ``None`` if all is well."""
    checks = (
        *(_part_problem, _value_problem, _limit_problem, _fit_problem, _compile_problem, _training_problem),
        *(_thread_problem, _size_problem, _logger_problem),
    )
    return next(filter(None, (check(config) for check in checks)), None)


def _part_problem(config: DictConfig) -> str | None:
    """Whether each part has settings at all: ``task.model=null`` has none."""
    for key in ("task", "task.model", "task.optim", "method", "profile", "hardware", "logger"):
        if not OmegaConf.is_dict(OmegaConf.select(config, key)):
            return f"{key}: must hold settings, and cannot be one value; leave it out, or give {key}.SETTING=..."
    return None


def _value_problem(config: DictConfig) -> str | None:
    values = dict(leaves(OmegaConf.to_container(config)))
    if missing := sorted(key for key, value in values.items() if value == MISSING):
        return f"{missing[0]}: needs a value; give {missing[0]}=..."
    numbers = {key: value for key, value in values.items() if is_count(value) or isinstance(value, float)}
    return next(filter(None, (number_problem(key, value) for key, value in numbers.items())), None)


def _limit_problem(config: DictConfig) -> str | None:
    for prefix, node, schema in _typed(config):
        sizes = COUNT if prefix == "task.model." else None
        if found := first_problem(schema, node, prefix, sizes):
            return found
    return None


def _typed(config: DictConfig) -> Iterator[tuple[str, DictConfig, type]]:
    """Every part of the configuration that a dataclass describes, and before it how its settings' names begin."""
    parts = {"task.": config.task, "task.model.": config.task.model, "task.optim.": config.task.optim}
    parts |= {f"{name}.": config[name] for name in ("profile", "hardware", "logger")}
    yield from ((prefix, node, cast(type, OmegaConf.get_type(node))) for prefix, node in parts.items())
    yield "", config, Config


def _fit_problem(config: DictConfig) -> str | None:
    """The first choice that does not fit the task: its network, data, precision or metric."""
    task = config.task
    schema, known = cast(type[TaskConfig], OmegaConf.get_type(task)), architectures()
    found = known.get(task.architecture)
    if found is None or (found.task_config, found.model_config) != (schema, OmegaConf.get_type(task.model)):
        fitting = [name for name, other in known.items() if other.model_config is OmegaConf.get_type(task.model)]
        return f"task.architecture={as_given(task.architecture)}: this task has the settings of {' or '.join(fitting)}"
    if not any(fnmatch.fnmatchcase(task.dataset, pattern) for pattern in found.datasets):
        return f"task.dataset={task.dataset}: {task.architecture} takes {', '.join(found.datasets)}"
    if config.hardware.precision not in schema.precisions:
        return (
            f"hardware.precision={config.hardware.precision}: {task.name} runs in {', '.join(schema.precisions)} only"
        )

    if task.metric not in found.metrics:
        return f"task.metric={as_given(task.metric)}: {task.architecture} measures {', '.join(found.metrics)}"
    name = (entry_for(config.method.name, task.method_names) or "").replace("{}", config.method.name)
    if name and (wrong := problem_of_name("method", name)):
        return f"task.method_names: {wrong}"
    return None


def _compile_problem(config: DictConfig) -> str | None:
    hardware, schema = config.hardware, cast(type[TaskConfig], OmegaConf.get_type(config.task))
    if not hardware.compile:
        return None
    if not schema.compiles:
        return f"hardware.compile=true: {config.task.name} has sparse products, which torch.compile does not take"
    if hardware.device == "cpu" and not capacity.has_compiler():
        return f"hardware.compile=true: needs a C++ compiler: {' or '.join(capacity.COMPILERS)} in the path, or CXX"
    return None


def _training_problem(config: DictConfig) -> str | None:
    task, optim = config.task, config.task.optim
    if (task.epochs is None) == (task.steps is None):
        return "set exactly one of task.epochs and task.steps, the other to null"
    if optim.momentum and optim.kind != "sgd":
        return f"task.optim.momentum={optim.momentum}: is of sgd; give task.optim.kind=sgd, or betas of adam"
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
        task = cast(TaskConfig, OmegaConf.to_object(config.task))
    except ValueError as error:  # of `ModelConfig`
        return str(error)
    model = task.model
    needed = _BYTES_OF_PARAMETER * model.min_parameters() + _BYTES_OF_MODULE * model.min_modules()
    needed += _BYTES_OF_NUMBER * task.min_activations()
    if needed > (there := capacity.memory()):
        sizes = ", ".join(f"{key}={value}" for key, value in vars(model).items() if is_count(value))
        return f"task.model ({sizes}): needs {needed / 2**30:,.0f} GB at least; this machine has {there / 2**30:,.0f}"
    return None


def _logger_problem(config: DictConfig) -> str | None:
    if config.logger.name == "wandb" and importlib.util.find_spec("wandb") is None:
        return "logger=wandb: wandb is not installed; pip install wandb, or use logger=none"
    return None
