"""The choices of each group of settings (`conf/` and the store of methods and tasks), as Hydra reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from benchmarks.settings.conf_files import CONF, BrokenFileError, broken_yaml, one_line_of, unreadable_file
from benchmarks.settings.store import fill_store
from benchmarks.terminal.errors import UsageError, nearest

#: In place of a method: every one.
ALL = "all"
GROUPS = ("task", "method", "profile", "hardware", "logger")
#: OverflowError: a whole number beyond a float's range.
NOT_CONVERTED = (OmegaConfBaseException, OverflowError)


@cache
def options(group: str) -> list[str]:
    """All choices of a config group, subfolders included: ``citation/gcn_cora``, …"""
    if group not in GROUPS:
        raise UsageError(f"'{group}' is no group of choices: choose {', '.join(GROUPS)}")
    _fill_store()
    files = (CONF / group).rglob("*.yaml")
    of_files = {path.relative_to(CONF / group).with_suffix("").as_posix() for path in files}
    return sorted((of_files | set(_stored(ConfigStore.instance().repo.get(group, {})))) - {"schema"})


def methods_named(asked: Sequence[str]) -> list[str]:
    """The methods of these names, each once; all that there are where one of the names is ``all``.

    Raises:
        UsageError: there is no method of a name.
    """
    known = options("method")
    for name in asked:
        if name not in (*known, ALL):
            raise UsageError(f"unknown method '{name}': did you mean {nearest(name, known)}?")
    return known if ALL in asked else list(dict.fromkeys(asked))


def forget() -> None:
    """Read all anew when asked next: the store holds more than it did."""
    for cached in (options, choice, by_hydra, _fill_store):
        cached.cache_clear()


@cache
def choice(group: str, name: str) -> DictConfig:
    """The settings of one choice of a group, without all that a run has besides."""
    return _read(f"{group}/{name}", ())[group]


@cache
def by_hydra(overrides: tuple[str, ...]) -> DictConfig:
    return _read("config", overrides)


def _read(name: str, overrides: tuple[str, ...]) -> DictConfig:
    """Hydra's configuration from a file of `conf/`; whatever is wrong with files or overrides is a `UsageError`."""
    try:
        with _hydra():
            return hydra_compose(name, overrides=list(overrides))
    except (HydraException, *NOT_CONVERTED) as error:
        message = one_line_of(error)
        if named := re.match(r"In '((?:task|architecture)/[^']+)'", message):
            raise BrokenFileError(CONF / f"{named[1]}.yaml", message) from error
        raise UsageError(message) from error
    except YAMLError as error:
        raise broken_yaml(error) from error
    except (UnicodeDecodeError, OSError) as error:  # a file that is no text, or no mapping
        path = unreadable_file() or CONF
        raise BrokenFileError(path, f"{path}: {one_line_of(error)}") from error
    except ValueError as error:  # Hydra's word for a defaults list, or a choice, of the wrong type
        raise UsageError(one_line_of(error)) from error


def _stored(folder: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The choices of a folder of Hydra's store, subfolders included: methods of plugins, generated tasks."""
    for name, node in folder.items():
        if isinstance(node, dict):
            yield from _stored(node, f"{prefix}{name}/")
        else:
            yield prefix + name.removesuffix(".yaml")


def _hydra() -> Any:
    GlobalHydra.instance().clear()
    _fill_store()
    return initialize_config_dir(str(CONF), version_base="1.3", job_name="benchmarks")


@cache
def _fill_store() -> None:
    """Once is enough: it takes as long as composing, and a sweep composes for every task and method."""
    fill_store()
