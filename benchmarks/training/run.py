"""A planned run: its settings, its data, its identity, and the claim on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from benchmarks.catalogue.discovery import architectures
from benchmarks.catalogue.methods import entry_for
from benchmarks.records import paths
from benchmarks.records.inputs import BadInput
from benchmarks.records.record import DONE, Record, hash_config, read_record, run_id, write_record
from benchmarks.settings.choices import GROUPS, options
from benchmarks.settings.compose import compose
from benchmarks.settings.neutral import without_neutral
from benchmarks.settings.overrides import Overrides
from benchmarks.tasks.data_sources import resolve
from benchmarks.terminal.errors import UsageError
from datasets.core.source import Source

#: Settings that do not change a result, so they do not enter the configuration's hash.
_WITHOUT_EFFECT = {"name", "suite", "domain", "skip", "profiles", "max_seeds", "cost", "precision", "method_names"}
_WITHOUT_EFFECT |= {"published"}
#: Overrides that choose among what is shipped.
_NOT_A_VARIANT = {"task", "method", "profile", "seed", "results", "data", "plugins"}


@dataclass(frozen=True)
class Run:
    """A run that is planned: its configuration, where its data come from, and where its record will lie."""

    config: DictConfig
    source: Source
    variant: str
    config_hash: str

    @classmethod
    def plan(cls, overrides: Sequence[str]) -> Run:
        """Resolve overrides to a run; nothing is generated, loaded or written.

        Raises:
            UsageError, DataError: the configuration or its data do not exist.
        """
        asked = Overrides.of(overrides)
        config = compose(asked)
        _check_device(config)
        source = resolve(config.task.dataset, config.data, config.profile.name)
        config_hash = hash_config(without_neutral(determining(config, source)))
        return cls(config, source, _variant(config, asked), config_hash)

    @property
    def id(self) -> str:
        """Path of the record below the records folder, without suffix."""
        return self.id_for(self.config.seed)

    @property
    def method(self) -> str:
        """The method's name in records and tables: its own, or the one that the task gives it."""
        name: str = self.config.method.name
        return (entry_for(name, self.config.task.method_names) or name).replace("{}", name)

    def id_for(self, seed: int) -> str:
        """The path that the same run has with another seed."""
        c = self.config
        return run_id(c.profile.name, c.task.name, self.method, seed, self.config_hash)

    @property
    def records(self) -> Path:
        """The records folder."""
        return paths.records(Path(self.config.results))

    @property
    def skip_reason(self) -> str | None:
        """Why the task does not have the method; ``None`` if it has."""
        return entry_for(self.config.method.name, self.config.task.skip)

    def finished_record(self, seed: int | None = None) -> Record | None:
        """The record, if this very run (or its like with ``seed``) was done before.

        Failed runs are not done; skipped ones are as long as the task skips the method.

        Raises:
            BadInput: the file in the record's place is no record, or that of another run; one line.
        """
        path = self.records / f"{self.id_for(self.config.seed if seed is None else seed)}.json"
        if not path.exists():
            return None
        record = read_record(path)
        if path != self.records / f"{record.run_id}.json":  # a file that was copied or renamed
            raise BadInput(path, f"holds another run, {record.run_id}", "move it away and run the task again")
        if record.status == "skipped" and self.skip_reason is None:
            return None
        return record if record.status in DONE else None

    def reuse(self) -> Record | None:
        """The finished record, written again where its variant is not this run's; call it while the run is claimed.

        What counts as shipped changes, the hash does not: a tried setting that is shipped now is no variant any more.
        """
        record = self.finished_record()
        if record is not None and record.variant != self.variant:
            record = dataclasses.replace(record, variant=self.variant)
            write_record(record, self.records)
        return record


@contextmanager
def claimed(run: Run) -> Iterator[None]:
    """Hold the run's lock; the system releases it if this process dies.

    Raises:
        Busy: another process has the run.
    """
    path = paths.work(Path(run.config.results)) / "locks" / f"{run.id.replace('/', '__')}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(f"{run.id} is being run by another process; wait for it, or choose another results folder") from None
    try:
        yield
    finally:
        lock.release()


class Busy(RuntimeError):
    """Another process is at the same run."""


def _check_device(config: DictConfig) -> None:
    if config.hardware.device != "cpu" and architectures()[config.task.architecture].task_config.cpu_only:
        raise UsageError(f"task={config.task.name}: runs on the CPU only; use hardware=cpu, or other tasks")


def determining(config: DictConfig, source: Source) -> dict[str, Any]:
    """The settings that determine a result, apart from the seed."""
    return {
        **portable_settings(config),
        "data": {"source": source.kind, "fingerprint": source.fingerprint},
        "device": config.hardware.device,
    }


def portable_settings(config: DictConfig) -> dict[str, Any]:
    """The determining settings that are the same on every machine, whichever data it has."""
    values: Any = OmegaConf.to_container(config)
    follows_seed = values["feedback_seed"] == values["seed"]
    return {
        "task": {key: value for key, value in values["task"].items() if key not in _WITHOUT_EFFECT},
        "method": values["method"],
        "feedback_seed": "seed" if follows_seed else values["feedback_seed"],
        "precision": values["hardware"]["precision"],
        **({} if values["alignment"] else {"alignment": False}),  # such a record lacks numbers that others have
        **({"compile": True} if values["hardware"]["compile"] else {}),  # sums are rounded in another order
    }


def _variant(config: DictConfig, overrides: Overrides) -> str:
    """How the run differs from the task as shipped: ``optim.lr=0.02, method.scale=2``; empty if it does not."""
    if set(overrides.keys) <= _NOT_A_VARIANT:
        return ""  # saves composing once more, which planning does for every task and method
    shipped = compose(overrides.only(GROUPS))
    if config.task.name != shipped.task.name and config.task.name in options("task"):  # task.dataset=..., for example
        others = overrides.only([group for group in GROUPS if group != "task"])
        shipped = compose(Overrides.of([f"task={config.task.name}"]).and_those(others))
    changes = []
    for part in ("task", "method"):
        old, new = _flat(shipped[part]), _flat(config[part])
        changes += [f"{part}.{key}={value}" for key, value in new.items() if old.get(key) != value]
    if config.feedback_seed != config.seed:
        changes.append(f"feedback_seed={config.feedback_seed}")
    if not config.alignment:
        changes.append("alignment=False")
    if config.hardware.precision != shipped.task.precision:
        changes.append(f"hardware.precision={config.hardware.precision}")
    if config.hardware.compile:
        changes.append("hardware.compile=True")
    return ", ".join(sorted(changes))


def _flat(node: DictConfig, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in ((str(key), value) for key, value in node.items() if key not in _WITHOUT_EFFECT):
        if isinstance(value, DictConfig):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
