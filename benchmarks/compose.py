"""Composing a run's configuration, with errors a person can use."""

from __future__ import annotations

import copy
import difflib
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks import settings
from benchmarks.config import Config, register_schema

CONF = Path(__file__).parent.parent / "conf"
GROUPS = ("task", "method", "profile", "hardware", "logger")


class UsageError(ValueError):
    """The user asked for something that does not exist; one line says what is possible instead."""


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration of one run from overrides such as ``task=citation/gcn_cora seed=3``.

    Raises:
        UsageError: an unknown key or value, with the nearest valid ones; a value of the wrong type or range.
    """
    check_overrides(overrides)
    config = _compose(tuple(overrides))
    if found := settings.problem(config) or _method_problem(config):
        raise UsageError(found)
    return config


def check_overrides(overrides: Sequence[str]) -> None:
    """Raise :class:`UsageError` for the first override whose key or chosen option does not exist."""
    parsed = [o for o in _parsed(overrides) if not o.key_or_group.startswith("hydra")]
    for override in parsed:
        if override.is_delete():
            raise UsageError(f"'{override.input_line}': settings cannot be removed; give another value")
        if override.key_or_group in GROUPS:
            for choice in _values(override):
                _nearest_or_fail(override.key_or_group, choice, options(override.key_or_group))
    groups = tuple(f"{o.key_or_group}={_values(o)[0]}" for o in parsed if o.key_or_group in GROUPS)
    for override in parsed:
        key = override.key_or_group
        if key not in Config.__dataclass_fields__ and not key.startswith("task.skip."):
            _nearest_or_fail("setting", key, sorted(_keys(groups)))


def combinations(overrides: Sequence[str]) -> Iterator[list[str]]:
    """The runs that a multirun asks for, one for each seed left out: they differ in nothing that can be wrong."""
    parsed = _parsed(overrides)
    per_override = [_values(o)[:1] if o.key_or_group in ("seed", "feedback_seed") else _values(o) for o in parsed]
    for values in itertools.product(*per_override):
        yield [
            f"{o.get_key_element()}={value}" if o.is_sweep_override() else str(o.input_line)
            for o, value in zip(parsed, values, strict=True)
        ]


@cache
def options(group: str) -> list[str]:
    """All choices of a config group, subfolders included: ``citation/gcn_cora``, …"""
    with _hydra():
        return sorted(_walk(group))


def load_plugins(specifications: Iterable[str]) -> None:
    """Import files or modules that register methods of the user's own, and make those methods selectable.

    Each new method becomes an option ``method=<name>`` whose settings are its constructor's keywords.
    """
    from benchmarks.plugins import load

    for specification in specifications:
        load(specification)
    for cached in (options, _compose, _by_hydra, _keys, _register_schema):
        cached.cache_clear()


def plugins_named_in(overrides: Sequence[str]) -> list[str]:
    """Plugins named on the command line (``plugins=[a.py,b]``) or in the environment (``DFA_PLUGINS=a.py,b``)."""
    named = os.environ.get("DFA_PLUGINS", "").split(",")
    for override in overrides:
        if override.startswith("plugins="):
            named += override.removeprefix("plugins=").strip("[]").split(",")
    return list(dict.fromkeys(name.strip(" '\"") for name in named if name.strip(" '\"")))


def with_list_of_plugins(override: str) -> str:
    """``plugins=a.py,b`` as the list that Hydra wants, ``plugins=[a.py,b]``: shells take brackets for patterns."""
    key, _, value = override.partition("=")
    return f"plugins=[{value}]" if key == "plugins" and not value.startswith("[") else override


@cache
def _compose(overrides: tuple[str, ...]) -> DictConfig:
    try:
        config = _unresolved(overrides)
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(_one_line(error)) from error
    return config


def _unresolved(overrides: tuple[str, ...]) -> DictConfig:
    """The configuration before its choices (``${by_method:…}``) are made.

    Hydra takes a tenth of a second for it. What differs between the runs of a task, method and seed, is put in here, so
    that a sweep asks Hydra once a task.
    """
    put_in = {}
    if not any("method." in override for override in overrides):
        put_in = {o.partition("=")[0]: o for o in overrides if _is_plain_choice(o)}
    config = copy.deepcopy(_by_hydra(tuple(o for o in overrides if o not in put_in.values())))
    if "method" in put_in:
        config.method = copy.deepcopy(_by_hydra((put_in["method"],)).method)
    if "seed" in put_in:
        config.seed = int(put_in["seed"].partition("=")[2])
    return config


def _is_plain_choice(override: str) -> bool:
    key, _, value = override.partition("=")
    return (key == "seed" and value.isdecimal()) or (key == "method" and value in options("method"))


@cache
def _by_hydra(overrides: tuple[str, ...]) -> DictConfig:
    with _hydra():
        return hydra_compose("config", overrides=list(overrides))


def _one_line(error: Exception) -> str:
    """The first line of what Hydra or OmegaConf found wrong, with the setting's full name."""
    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None)
    message = " ".join(str(cause).splitlines()[0].split())
    if message.startswith("Ambiguous value"):
        message += ": for several runs add -m, for a list write [a,b]"
    return f"{key}: {message}" if key else message


def _method_problem(config: DictConfig) -> str | None:
    """A method's settings have no schema: names and types are those of the values it ships with."""
    if config.method.name not in options("method"):
        return f"method.name={config.method.name}: choose the method with method=..."
    shipped = _compose((f"method={config.method.name}",)).method
    for key, value in config.method.items():
        if key not in shipped.keys():  # noqa: SIM118  (`in` overlooks what has no value yet)
            return f"method.{key}: {config.method.name} has no such setting"
        default = shipped.get(key)
        wanted = int | float if isinstance(default, float) else type(default)
        if default is not None and (not isinstance(value, wanted) or isinstance(value, bool) != (wanted is bool)):
            return f"method.{key}={value}: must be of type {type(default).__name__}, as in {key}={default}"
    return None


@cache
def _keys(groups: tuple[str, ...]) -> set[str]:
    return set(_flat(OmegaConf.to_container(_compose(groups))))


def _flat(values: Any, prefix: str = "") -> Iterable[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")


def _parsed(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UsageError(f"{str(error).splitlines()[0]}: write key=value") from error


def _values(override: Override) -> list[str]:
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    return [str(override.value())]


def _walk(group: str) -> Iterable[str]:
    loader = GlobalHydra.instance().config_loader()
    yield from (name for name in loader.get_group_options(group) if name != "schema")
    for folder in loader.get_group_options(group, results_filter=ObjectType.GROUP):
        yield from (f"{folder}/{name}" for name in _walk(f"{group}/{folder}"))


def _nearest_or_fail(what: str, given: str, valid: Sequence[str]) -> None:
    if given not in valid:
        raise UsageError(f"unknown {what} '{given}': did you mean {nearest(given, valid)}?")


def nearest(given: str, valid: Sequence[str]) -> str:
    """The valid names most like ``given``, as a phrase."""
    return " or ".join(difflib.get_close_matches(given, valid, n=3, cutoff=0.5) or list(valid)[:12])


def _hydra() -> Any:
    GlobalHydra.instance().clear()
    _register_schema()
    return initialize_config_dir(str(CONF), version_base="1.3", job_name="benchmarks")


@cache
def _register_schema() -> None:
    """Once is enough: it takes as long as composing, and a sweep composes for every task and method."""
    register_schema()


def fail(error: Exception | str) -> None:
    """End the program for a user's error: one line on standard error, exit code 2."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    raise SystemExit(2)
