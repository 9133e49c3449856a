"""Composing a run's configuration, with errors a person can use."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmarks.settings import given, rules
from benchmarks.settings import overrides as overrides_module
from benchmarks.settings.choices import GROUPS, NOT_CONVERTED, by_hydra, choice, forget, options
from benchmarks.settings.conf_files import CONF, BrokenFileError, one_line_of
from benchmarks.settings.limits import LARGEST_EXACT, is_count
from benchmarks.settings.overrides import Overrides, Setting
from benchmarks.settings.schema import Config, TaskConfig
from benchmarks.settings.searched import put_in
from benchmarks.terminal import names
from benchmarks.terminal.errors import UsageError, nearest

#: Groups whose choices no other choice builds on, so that each can be exchanged in a configuration that is there.
_EXCHANGED = ("method", "profile")


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration of one run from overrides such as ``task=citation/gcn_cora seed=3``.

    Raises:
        UsageError: an unknown key or value, with the nearest valid ones; a value of the wrong type or range.
    """
    asked = Overrides.of(overrides)
    check_overrides(asked)
    try:
        config = _compose(asked)
        found = given.fixed_problem(config, asked, lambda: _compose(asked.only(GROUPS)), options("task"))
        found = found or given.boolean_problem(config, asked) or rules.problem(config) or _method_problem(config)
    except OmegaConfBaseException as error:  # a value that comes from elsewhere (${...}) and is none
        raise UsageError(one_line_of(error)) from error
    if found:
        raise UsageError(found)
    return config


def check_overrides(overrides: Sequence[str]) -> None:
    """Raise :class:`UsageError` for the first override whose key or chosen option does not exist."""
    asked = Overrides(tuple(s for s in Overrides.of(overrides).settings if not s.parsed.is_hydra_override()))
    for setting in asked.settings:
        if setting.parsed.is_delete():
            raise UsageError(f"'{setting.text}': settings cannot be removed; give another value")
        if wrong := given.problem(setting):
            raise UsageError(wrong)
        if setting.key in GROUPS:
            for choice in setting.values(options):
                _nearest_or_fail(setting.key, choice, options(setting.key))
    choices = asked.only(GROUPS)
    if any(not setting.is_plain for setting in choices.settings):  # one of the runs stands for all
        choices = Overrides.of([f"{s.key}={s.values(options)[0]}" for s in choices.settings])
    for key in asked.keys:
        if key not in Config.__dataclass_fields__ and not key.startswith("task.skip."):
            _nearest_or_fail("setting", key, sorted(_keys(choices)))


def combinations(overrides: Sequence[str]) -> Iterator[list[str]]:
    """The runs that a multirun asks for, one for each seed left out: they differ in nothing that can be wrong."""
    return overrides_module.combinations(overrides, options)


def load_plugins(specifications: Iterable[str]) -> None:
    """Import files or modules that register methods of the user's own, and make those methods selectable.

    Each new method becomes an option ``method=<name>`` whose settings are its constructor's keywords.
    """
    from benchmarks.settings.plugins import load

    for specification in specifications:
        load(specification)
    forget()
    _compose.cache_clear()
    _keys.cache_clear()


@cache
def _compose(overrides: Overrides) -> DictConfig:
    config = _unresolved(overrides)
    if not _has_schema(config):
        chosen = [setting.typed for setting in overrides.only(["task"]).settings]
        path = CONF / "task" / f"{chosen[-1] if chosen else config.task}.yaml"
        raise BrokenFileError(path, f"{path}: names no architecture; add defaults: [/architecture/...@_here_, _self_]")
    if not (OmegaConf.is_dict(config.method) and "name" in config.method):
        raise UsageError("a file of conf/method has no name: add name: and the name of the file")
    if wrong := names.problem_of_name("profile", config.profile.name):  # before a file is called after it
        raise UsageError(f"profile.name: {wrong}")
    put_in(config, str(_last(overrides, "task") or config.task.name), frozenset(overrides.keys))
    try:
        OmegaConf.resolve(config)
    except NOT_CONVERTED as error:
        raise UsageError(_followed_null(error, overrides) or one_line_of(error)) from error
    _as_declared(config)
    return config


def _followed_null(error: Exception, overrides: Overrides) -> str | None:
    """The line about a setting that follows (``${..steps}``) one that was given as null; None for another error."""
    key = getattr(error, "full_key", None)
    for setting in overrides.settings:
        follows = f".{setting.key.rpartition('.')[2]}}}" in str(error)
        if key and follows and setting.is_plain and setting.parsed.value() is None:
            return f"{key}: follows {setting.key}, which is null; give {key}=... as well"
    return None


def _as_declared(config: DictConfig) -> None:
    """Whole numbers for a method's fractional settings: ``method.scale=1`` is the run of ``method.scale=1.0``."""
    if config.method.name in options("method"):
        shipped = choice("method", config.method.name)
        settings: Any = OmegaConf.to_container(config.method)
        for key, value in settings.items():
            if isinstance(shipped.get(key), float) and is_count(value) and abs(value) <= LARGEST_EXACT:
                config.method[key] = float(value)


def _last(overrides: Overrides, group: str) -> str | None:
    """The choice of a group, if the overrides make one."""
    chosen = [setting.typed for setting in overrides.only([group]).settings]
    return chosen[-1] if chosen else None


def _has_schema(config: DictConfig) -> bool:
    """Whether the task's settings are typed: without, any key and value would be taken."""
    return OmegaConf.is_dict(config.task) and issubclass(OmegaConf.get_type(config.task) or object, TaskConfig)


def _unresolved(overrides: Overrides) -> DictConfig:
    """The configuration before its choices (``${by_method:…}``) are made.

    Hydra takes a tenth of a second for it. What the runs of a task differ in is applied here, as Hydra does it, so that
    a sweep or a search asks Hydra once a task. What cannot be applied goes to Hydra, which says what is wrong with it.
    Where something is forced or added (``++key=value``) all goes to Hydra: the order of what is given counts then.
    """
    if any(setting.text.startswith("+") for setting in overrides.settings):
        return copy.deepcopy(by_hydra(tuple(overrides)))
    later = [setting for setting in overrides.settings if _can_wait(setting)]
    others = tuple(setting.text for setting in overrides.settings if setting not in later)
    try:
        config = copy.deepcopy(by_hydra(others))
        for setting in sorted(later, key=lambda one: one.key not in GROUPS):  # a choice would undo its own values
            _apply(config, setting)
    except (UsageError, *NOT_CONVERTED):  # a broken file perhaps of a default that these overrides replace
        return copy.deepcopy(by_hydra(tuple(overrides)))
    return config


def _can_wait(setting: Setting) -> bool:
    if not setting.is_plain or setting.parsed.is_hydra_override():
        return False
    return setting.key not in GROUPS or (setting.key in _EXCHANGED and setting.typed in options(setting.key))


def _apply(config: DictConfig, setting: Setting) -> None:
    if setting.key not in GROUPS:
        OmegaConf.update(config, setting.key, setting.parsed.value(), merge=True)
        return
    chosen = choice(setting.key, setting.typed)
    schema = OmegaConf.get_type(config[setting.key])
    is_typed = dataclasses.is_dataclass(schema)
    config[setting.key] = OmegaConf.merge(OmegaConf.structured(schema), chosen) if is_typed else copy.deepcopy(chosen)


def _method_problem(config: DictConfig) -> str | None:
    """A method's settings have no schema: names and types are those of the values it ships with."""
    shipped = choice("method", config.method.name)
    for key, value in config.method.items():
        if key not in shipped.keys():  # noqa: SIM118  (`in` overlooks what has no value yet)
            return f"method.{key}: {config.method.name} has no such setting"
        default = shipped.get(key)
        wanted = int | float if isinstance(default, float) else type(default)
        if default is not None and (not isinstance(value, wanted) or isinstance(value, bool) != (wanted is bool)):
            return f"method.{key}={value}: must be of type {type(default).__name__}, as in {key}={default}"
    return None


@cache
def _keys(groups: Overrides) -> set[str]:
    keys = overrides_module.flat(OmegaConf.to_container(_compose(groups)))
    return {key for key in keys if not key.startswith("task.published")}


def _nearest_or_fail(what: str, name: str, valid: Sequence[str]) -> None:
    if name not in valid:
        raise UsageError(f"unknown {what} '{names.shortened(name)}': did you mean {nearest(name, valid)}?")
