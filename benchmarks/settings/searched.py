"""Settings that a search has found for a method on a task: `conf/searched/<profile>.yaml`, written by benchmarks.tune.

They are what the method ships with there. Whatever is given on the command line goes before them. Methods without an
entry have the settings of the method that they are like.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmarks.settings.conf_files import CONF, BrokenFileError, one_line_of

_SMALLER = {"smoke": "quick"}  # a profile without a search of its own


def searched_file(profile: str) -> Path:
    """The file of a profile."""
    return CONF / "searched" / f"{profile}.yaml"


def searched(profile: str, task: str, method: str) -> Mapping[str, Any]:
    """The settings found for a method on a task, by their dotted names; empty without a search."""
    found: Mapping[str, Any] = _entries(profile).get(task, {}).get(method, {})
    return found


@cache
def _entries(profile: str) -> dict[str, Any]:
    path = searched_file(_SMALLER.get(profile, profile))
    if not path.exists():
        return {}
    try:
        entries = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise BrokenFileError(path, f"{path}: {one_line_of(error)}") from error
    if not isinstance(entries, dict):
        raise BrokenFileError(path, f"{path}: write task: {{method: {{setting: value}}}}")
    return {str(task): methods for task, methods in entries.items()}


def put_in(config: DictConfig, task: str, given: frozenset[str]) -> None:
    """Set what was found for the run's profile, task and method, but for the settings that were ``given``."""
    for key, value in searched(config.profile.name, task, config.method.name).items():
        if key not in given:
            OmegaConf.update(config, key, value)


def forget() -> None:
    """Read the files anew: a search has written one."""
    _entries.cache_clear()
