"""One run, from its configuration to its record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from benchmarks import machine
from benchmarks.checkpoint import Checkpoint, seed_everything
from benchmarks.compose import compose
from benchmarks.loggers import make_loggers
from benchmarks.loop import Interrupted, Loop
from benchmarks.measure import fill
from benchmarks.records import DONE, Record, hash_config, read_record, run_id, write_record
from benchmarks.registry import architectures
from benchmarks.task import Task
from datasets.source import Source, resolve
from dfa_core import Method, make_method, method_class

#: Settings that do not change a result, so they do not enter the configuration's hash.
_WITHOUT_EFFECT = {"name", "max_seeds", "cost", "skip", "suite", "domain"}


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
        config = compose(overrides)
        source = resolve(config.task.dataset, config.data, config.profile.name)
        return cls(config, source, _variant(config, overrides), _hash(config, source))

    @property
    def id(self) -> str:
        """Path of the record below the records folder, without suffix."""
        return self.id_for(self.config.seed)

    def id_for(self, seed: int) -> str:
        """The path that the same run has with another seed."""
        c = self.config
        return run_id(c.profile.name, c.task.name, c.method.name, seed, self.config_hash)

    @property
    def records(self) -> Path:
        """The records folder."""
        return Path(self.config.results) / "records"

    def finished_record(self, seed: int | None = None) -> Record | None:
        """The record, if this very run (or its like with ``seed``) was done before; failed runs are not done."""
        path = self.records / f"{self.id_for(self.config.seed if seed is None else seed)}.json"
        if not path.exists():
            return None
        record = read_record(path)
        return record if record.status in DONE else None


@contextmanager
def claimed(run: Run) -> Iterator[None]:
    """Hold the run's lock; the system releases it if this process dies.

    Raises:
        Busy: another process has the run.
    """
    path = Path(run.config.results) / "work" / "locks" / f"{run.id.replace('/', '__')}.lock"
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


def execute(run: Run, stop_requested: Callable[[], bool] = lambda: False, console: bool = False) -> Record:
    """Train, evaluate and record ``run``; a checkpoint left by an interrupted try is continued.

    Raises:
        Interrupted: ``stop_requested`` became true; the checkpoint is saved.
        UsageError, DataError, FeedbackError, ValueError: settings or data are wrong; nothing is recorded.
    """
    config = run.config
    record = _blank_record(run)
    if config.method.name in config.task.skip:
        record.status, record.reason = "skipped", config.task.skip[config.method.name]
        write_record(record, run.records)
        return record
    device = machine.torch_device(config.hardware.device)
    machine.tune_process(config.hardware.threads)
    memory = machine.PeakMemory(device)
    task, method = _build(run, device)
    loggers = make_loggers(run.config, run.records / run.id, console)
    loop = Loop(task, method, config.task, config.hardware, loggers.log, stop_requested)
    checkpoint = Checkpoint(Path(config.results) / "work" / "checkpoints" / f"{run.id}.pt")
    checkpoint.restore(loop)
    loggers.start(record, loop.progress.history)
    try:
        _train(loop, checkpoint)
        fill(record, loop, config.alignment)
        record.peak_memory_mb = round(memory.megabytes(), 1)
        write_record(record, run.records)
    except BaseException:
        loggers.finish(None)
        raise
    checkpoint.remove()
    loggers.finish(record)
    return record


def _train(loop: Loop, checkpoint: Checkpoint) -> None:
    try:
        loop.run(after_step=lambda: checkpoint.save_if_due(loop))
    except Interrupted:
        checkpoint.save(loop)
        raise


def failed_record(run: Run, error: BaseException) -> Record:
    """A record that says why ``run`` failed, written so that tables can show it; the next sweep tries again."""
    record = _blank_record(run)
    record.status, record.reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
    write_record(record, run.records)
    return record


def _build(run: Run, device: torch.device) -> tuple[Task, Method]:
    """Task and method. All methods see the same generator state here, so weights and splits are paired."""
    config = run.config
    settings = OmegaConf.to_object(config.task)
    settings.model = OmegaConf.to_container(config.task.model)
    seed_everything(config.seed)
    task: Task = architectures()[config.task.architecture].build()(settings, run.source, config.seed)
    task.model.to(device)
    options = {k: v for k, v in config.method.items() if k not in ("name", "code")}
    if "feedback_seed" in inspect.signature(method_class(config.method.name).__init__).parameters:
        options["feedback_seed"] = config.feedback_seed
    method = make_method(config.method.name, task.model, **options).to(device)
    seed_everything(config.seed + 1)  # dropout and sampling during training: not the draws of the initial weights
    return task, method


def _blank_record(run: Run) -> Record:
    task = run.config.task
    return Record(
        task=task.name,
        domain=task.domain,
        architecture=task.architecture,
        dataset=task.dataset,
        method=run.config.method.name,
        profile=run.config.profile.name,
        seed=run.config.seed,
        config=_determining(run.config, run.source),
        config_hash=run.config_hash,
        variant=run.variant,
        primary_metric=task.metric,
        data={"source": run.source.kind, "fingerprint": run.source.fingerprint},
        code=machine.code(),
        versions=machine.versions(),
        hardware={**machine.hardware(), **OmegaConf.to_container(run.config.hardware)},
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _determining(config: DictConfig, source: Source) -> dict[str, Any]:
    """The settings that determine a result, apart from the seed."""
    values: Any = OmegaConf.to_container(config)
    follows_seed = values["feedback_seed"] == values["seed"]
    return {
        "task": {key: value for key, value in values["task"].items() if key not in _WITHOUT_EFFECT},
        "method": values["method"],
        "data": {"source": source.kind, "fingerprint": source.fingerprint},
        "feedback_seed": "seed" if follows_seed else values["feedback_seed"],
        "device": values["hardware"]["device"],
        "precision": values["hardware"]["precision"],
    }


def _hash(config: DictConfig, source: Source) -> str:
    """Hash of the determining settings, without those at the schema's defaults.

    So a setting that is added later, with a default that changes nothing, does not orphan the runs recorded before.
    """
    determining = _determining(config, source)
    architecture = architectures()[config.task.architecture]
    defaults: Any = OmegaConf.to_container(OmegaConf.structured(architecture.task_config))
    defaults["model"] = OmegaConf.to_container(OmegaConf.structured(architecture.model_config))
    return hash_config(determining | {"task": _without_defaults(determining["task"], defaults)})


def _without_defaults(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            kept[key] = _without_defaults(value, defaults.get(key, {}))
        elif key not in defaults or defaults[key] != value:
            kept[key] = value
    return kept


def _variant(config: DictConfig, overrides: Sequence[str]) -> str:
    """How the run differs from the task as shipped: ``optim.lr=0.02, method.scale=2``; empty if it does not."""
    chosen = [o for o in overrides if o.split("=")[0] in ("task", "method", "profile")]
    if not {o.split("=")[0] for o in overrides} - {
        "task",
        "method",
        "profile",
        "seed",
        "results",
        "data",
        "plugins",
    }:
        return ""
    shipped = compose(chosen)
    changes = []
    for part in ("task", "method"):
        old, new = _flat(shipped[part]), _flat(config[part])
        changes += [f"{part}.{key}={value}" for key, value in new.items() if old.get(key) != value]
    if config.feedback_seed != config.seed:
        changes.append(f"feedback_seed={config.feedback_seed}")
    if config.hardware.precision != shipped.hardware.precision:
        changes.append(f"hardware.precision={config.hardware.precision}")
    return ", ".join(sorted(changes))


def _flat(node: DictConfig, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, DictConfig):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key not in _WITHOUT_EFFECT:
            flat[f"{prefix}{key}"] = value
    return flat
