"""Hydra's nodes beside the files of `conf/`: the schema, tasks without a file, methods, and the resolvers."""

from __future__ import annotations

from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from benchmarks.catalogue.discovery import architectures, tasks
from benchmarks.catalogue.domain import Task
from benchmarks.catalogue.methods import MethodEntry, known_methods, skip_reasons
from benchmarks.catalogue.reference import published_for
from benchmarks.settings.conf_files import CONF
from benchmarks.settings.schema import Config, ProfileConfig


class _Shared(dict[str, Any]):
    """A part of Hydra's store that is never copied: copying it for each configuration takes a third of composing."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self


def fill_store() -> None:
    """Make everything known to Hydra that is no file; may be called more than once.

    A task or method that has a file in `conf/` is that file alone.
    """
    for resolver in (by_method, by_profile, by_dataset, published):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    store = ConfigStore.instance()
    store.repo = store.repo if isinstance(store.repo, _Shared) else _Shared(store.repo)
    store.store(name="schema", node=Config)
    store.store(group="profile", name="schema", node=ProfileConfig)
    for name, architecture in architectures().items():
        node = OmegaConf.structured(architecture.task_config)
        node.model = OmegaConf.structured(architecture.model_config)
        node.architecture, node.skip = name, skip_reasons(architecture)
        store.store(group="schema", name=name, node=node)
    for task in tasks().values():
        _store_choice(f"task/{task.name}", _task(task))
    for method in known_methods().values():
        _store_choice(f"method/{method.name}", {"name": method.name, **method.settings})


def _store_choice(path: str, node: dict[str, Any]) -> None:
    """Store ``node``, unless there is a file: Hydra would take an entry of the same name for the file's schema."""
    group, _, name = path.rpartition("/")
    if not (CONF / f"{path}.yaml").exists():
        ConfigStore.instance().store(group=group, name=name, node=node)


def _task(task: Task) -> dict[str, Any]:
    """The content that the task's file would have; an architecture without a file has its values in its dataclasses."""
    has_file = (CONF / "architecture" / f"{task.architecture}.yaml").exists()
    bases = [f"{'architecture' if has_file else 'schema'}/{task.architecture}"]
    bases += [f"architecture/{base}" for base in task.bases]
    return {"defaults": [*(f"/{base}@_here_" for base in bases), "_self_"], "dataset": task.dataset, **task.settings}


def _chosen(choices: DictConfig, key: str, what: str, fallback: str | None) -> Any:
    if key in choices:
        return choices[key]
    if fallback is not None and fallback in choices:
        return choices[fallback]
    raise ValueError(f"no setting for {what} '{key}': the choice has {', '.join(map(str, choices))}")


def by_method(choices: DictConfig, *, _root_: DictConfig) -> Any:
    """The entry for the run's method; one without settings of its own takes those of the method that it is like."""
    return _chosen(choices, _root_.method.name, "method", _method_with_settings(_root_.method.name, choices))


def _method_with_settings(name: str, choices: DictConfig) -> str:
    """The method itself, or the one that it is like, or the one that this one is like, … whichever has an entry."""
    known, seen = known_methods(), set[str]()
    while name not in choices and name not in seen:
        seen.add(name)
        name = known.get(name, MethodEntry(name)).like
    return name


def by_profile(choices: DictConfig, *, _root_: DictConfig) -> Any:
    """The entry for the run's profile; `long` without one of its own takes that of `paper`."""
    profile = _root_.profile.name
    return _chosen(choices, profile, "profile", "paper" if profile == "long" else None)


def by_dataset(choices: DictConfig, *, _root_: DictConfig) -> Any:
    """The entry for the task's dataset, or `default`."""
    return _chosen(choices, _root_.task.dataset, "dataset", "default")


def published(*, _root_: DictConfig) -> DictConfig:
    """The paper's numbers of the task's architecture on its dataset: metric, method, value."""
    task = _root_.task
    return OmegaConf.create(published_for(task.domain, task.architecture, task.dataset))
