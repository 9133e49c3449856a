"""Composing a run's configuration, with errors a person can use."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.config import register_schema

CONF = Path(__file__).parent.parent / "conf"
GROUPS = ("task", "method", "profile", "hardware", "logger")


class UsageError(ValueError):
    """The user asked for something that does not exist; one line says what is possible instead."""


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration of one run from overrides such as ``task=citation/gcn_cora seed=3``.

    Raises:
        UsageError: an unknown key or value, with the nearest valid ones; a value of the wrong type.
    """
    try:
        return _compose(tuple(overrides))
    except UsageError:
        check_overrides(overrides)  # says it better, if it can
        raise


def check_overrides(overrides: Sequence[str]) -> None:
    """Raise :class:`UsageError` for the first override whose key or chosen option does not exist."""
    groups = [o for o in _parsed(overrides) if o.get_key_element() in GROUPS]
    for override in groups:
        for choice in _values(override):
            _nearest_or_fail(override.get_key_element(), choice, options(override.get_key_element()))
    base = [f"{o.get_key_element()}={_values(o)[0]}" for o in groups]
    for override in _parsed(overrides):
        key = override.get_key_element().lstrip("+~").split("@")[0]
        if key in GROUPS or key.startswith("hydra") or override.is_add():
            continue
        known = _keys(tuple(base))
        if key not in known:
            _nearest_or_fail("setting", key, sorted(known))


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
    options.cache_clear()
    _compose.cache_clear()
    _keys.cache_clear()


def plugins_named_in(overrides: Sequence[str]) -> list[str]:
    """Plugins named on the command line (``plugins=[a.py,b]``) or in the environment (``DFA_PLUGINS=a.py,b``)."""
    named = [name for name in os.environ.get("DFA_PLUGINS", "").split(",") if name]
    for override in overrides:
        if override.startswith("plugins="):
            named += [
                name.strip() for name in override[len("plugins=") :].strip("[]").split(",") if name.strip()
            ]
    return list(dict.fromkeys(named))


@cache
def _compose(overrides: tuple[str, ...]) -> DictConfig:
    try:
        with _hydra():
            config = hydra_compose("config", overrides=list(overrides))
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(_one_line(error)) from error
    return config


def _one_line(error: Exception) -> str:
    """The first line of what Hydra or OmegaConf found wrong, with the setting's full name."""
    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None)
    message = " ".join(str(cause).splitlines()[0].split())
    return f"{key}: {message}" if key else message


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
        raise UsageError(f"cannot read the override: {str(error).splitlines()[0]}") from error


def _values(override: Override) -> list[str]:
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    return [str(override.value())]


def _walk(group: str) -> Iterable[str]:
    loader = GlobalHydra.instance().config_loader()
    for name in loader.get_group_options(group):
        if name != "schema":
            yield name
    from hydra.core.object_type import ObjectType

    for folder in loader.get_group_options(group, results_filter=ObjectType.GROUP):
        yield from (f"{folder}/{name}" for name in _walk(f"{group}/{folder}"))


def _nearest_or_fail(what: str, given: str, valid: Sequence[str]) -> None:
    if given in valid:
        return
    raise UsageError(f"unknown {what} '{given}': did you mean {nearest(given, valid)}?")


def nearest(given: str, valid: Sequence[str]) -> str:
    """The valid names most like ``given``, as a phrase."""
    return " or ".join(difflib.get_close_matches(given, valid, n=3, cutoff=0.5) or list(valid)[:12])


def _hydra() -> Any:
    GlobalHydra.instance().clear()
    register_schema()
    return initialize_config_dir(str(CONF), version_base="1.3", job_name="benchmarks")


def fail(error: Exception | str) -> None:
    """End the program for a user's error: one line on standard error, exit code 2."""
    sys.stderr.write(f"error: {error}\n")
    raise SystemExit(2)
