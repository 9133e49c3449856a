"""Values as they are given: those that no run may have, or that would become others in silence, are refused.

OmegaConf takes any whole number for a boolean, and what is missing or larger than a float ends deep inside of it. What
a choice says of itself is not the user's to set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from benchmarks.settings.limits import LARGEST, as_given, is_count
from benchmarks.settings.overrides import Overrides, Setting

#: Settings that say what a choice is, and what to do instead of setting them: they follow from the choice, and another
#: value would give a run a false name.
FIXED = {
    "task.architecture": "choose the task with task=...",
    "task.suite": "choose the task with task=...",
    "task.domain": "choose the task with task=...",
    "method.name": "choose the method with method=...",
    "method.code": "it is the hash of the plugin's files; leave it out",
    "profile.name": "choose the profile with profile=...",
}


def problem(setting: Setting) -> str | None:
    """The first value of an override that no setting can have, in one line; None if there is none."""
    for key, value in _values(setting):
        if value == MISSING:
            return f"{key}: needs a value; give {key}=..."
        if is_count(value) and abs(value) > LARGEST:
            return f"{key}={as_given(value)}: must lie between -{LARGEST} and {LARGEST}, where fp32 has numbers"
    return None


def boolean_problem(config: DictConfig, overrides: Overrides) -> str | None:
    """The first number that was given for a boolean of ``config`` and is neither 0 nor 1; None if there is none."""
    for key, value in (pair for setting in overrides.settings for pair in _values(setting)):
        is_number = is_count(value) or (isinstance(value, str) and value.strip().lstrip("+-").isdecimal())
        if is_number and str(value) not in ("0", "1") and isinstance(OmegaConf.select(config, key), bool):
            return f"{key}={as_given(value)}: choose true or false"
    return None


def fixed_problem(
    config: DictConfig, overrides: Overrides, shipped: Callable[[], DictConfig], tasks: Collection[str]
) -> str | None:
    """The first setting that would let a run pass for another; None if there is none.

    ``shipped`` composes the choices of ``overrides`` alone, and ``tasks`` are all that can be chosen.
    """
    asked = set(overrides.keys)
    for key in [key for key in FIXED if key in asked]:
        value, of_choice = (OmegaConf.select(one, key) for one in (config, shipped()))
        if value != of_choice:
            return f"{key}={as_given(value)}: {FIXED[key]}"
    name = config.task.name
    if "task.name" in asked and name in tasks and name != shipped().task.name:
        return f"task.name={name}: is another task; choose it with task=..."
    return None


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The single values within mappings and lists, by their full names."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{key}[{number}]")
    else:
        yield key, value


def _values(setting: Setting) -> Iterator[tuple[str, Any]]:
    """The values of an override; none where it stands for several runs, each of which is looked at by itself."""
    if not setting.is_sweep:
        yield from leaves(setting.parsed.value(), setting.key)
