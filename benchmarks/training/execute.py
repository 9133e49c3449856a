"""One run, from its configuration to its record."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import OmegaConf

from benchmarks.catalogue.discovery import architectures
from benchmarks.records import paths
from benchmarks.records.record import Record, artefact_path, write_atomically, write_record
from benchmarks.settings.schema import TaskConfig
from benchmarks.tasks.task import Task
from benchmarks.terminal.errors import kind_and_message
from benchmarks.training import machine
from benchmarks.training.alignment import alignment_row, has_alignment, undisturbed
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.finish import finalize_record
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.loggers import Loggers, make_loggers
from benchmarks.training.loop import Loop
from benchmarks.training.processes import ALONE, Processes, hardware_of
from benchmarks.training.randomness import seed_everything
from benchmarks.training.run import Run, determining
from dfa_core import Method, UnsuitableError, make_method, method_class


def execute(
    run: Run,
    stop_requested: Callable[[], bool] = lambda: False,
    console: bool = False,
    on_step: Callable[[float], None] = lambda done: None,
    processes: Processes = ALONE,
) -> Record:
    """Train, evaluate and record ``run``; a checkpoint left by an interrupted try is continued.

    Of several ``processes`` the leader evaluates and writes; the others return a record without results.

    ``on_step`` is told the share of the training budget that is done, before the first step and after each.

    Raises:
        Interrupted: ``stop_requested`` became true; the checkpoint is saved.
        OSError: the machine's fault: a disk is full, the output closed. If a logger met it, the checkpoint is saved.
        UsageError, DataError, FeedbackError, ValueError: settings or data are wrong; nothing is recorded.
    """
    record = _blank_record(run)
    if (reason := run.skip_reason) is not None:
        return _skipped(record, reason, run, processes)
    device = machine.torch_device(run.config.hardware.device)
    machine.tune_process(run.config.hardware.threads)
    memory = machine.PeakMemory(device)
    try:
        task, method = build(run, device)
    except UnsuitableError as error:
        return _skipped(record, str(error), run, processes)
    processes.check(task, method, run.config.hardware)
    processes.draw_apart(run.config.seed + 1, 0)
    if task.about_data:
        record.data["about"] = task.about_data
    task.shows_progress = console and processes.leads
    loggers = make_loggers(run.config, run.records / run.id, console) if processes.leads else Loggers([])
    loop = _loop(run, task, method, loggers, stop_requested, processes)
    _train_and_record(run, loop, record, loggers, memory, on_step, processes)
    return record


def _loop(
    run: Run, task: Task, method: Method, loggers: Loggers, stop_requested: Callable[[], bool], processes: Processes
) -> Loop:
    """The training loop, which also stops at a fault of a logger, so that a checkpoint is saved."""
    config = run.config
    probe = _alignment_over_time(task, method, config.task.alignment_every if config.alignment else 0)

    def stops() -> bool:
        return stop_requested() or loggers.fault is not None

    return Loop(task, method, config.task, config.hardware, loggers.log, stops, probe, processes)


def _train_and_record(
    run: Run,
    loop: Loop,
    record: Record,
    loggers: Loggers,
    memory: machine.PeakMemory,
    on_step: Callable[[float], None],
    processes: Processes,
) -> None:
    """Train ``loop``, from the run's checkpoint if there is one; the leader then fills in and writes ``record``."""
    checkpoint = Checkpoint(paths.work(Path(run.config.results)) / "checkpoints" / f"{run.id}.pt", run.id)
    if checkpoint.restore(loop):
        processes.draw_apart(run.config.seed + 1, loop.progress.step)
    loggers.start(record, loop.progress.history)
    try:
        _train(loop, checkpoint, on_step, processes, loggers)
        record.hardware |= hardware_of(processes.of_each({"peak_memory_mb": round(memory.megabytes(), 1)}))
        if not processes.leads:
            return
        finalize_record(record, loop, run.config.alignment)
        record.peak_memory_mb = round(memory.megabytes(), 1)
        _keep_artefacts(record, loop.task, run.records / run.id)
        write_record(record, run.records)
    except BaseException:  # Ctrl-C too: a logger's run must not stay open
        loggers.finish(None)
        raise
    checkpoint.remove()
    loggers.finish(record)


def _alignment_over_time(task: Task, method: Method, every: int) -> Callable[[int], dict[str, float]]:
    """The probe of an evaluation, given its number: the alignment at every ``every``-th one, 0 for none."""
    if not every:
        return lambda evaluation: {}

    def probe(evaluation: int) -> dict[str, float]:
        if evaluation % every:
            return {}
        aligned = alignment_row(task, method) if has_alignment(method) else {}
        with undisturbed(task):
            return {**aligned, **task.dynamics(method)}

    return probe


def _keep_artefacts(record: Record, task: Task, stem: Path) -> None:
    """Write what the task wants to be kept; the record, which is written last, lists it."""
    if record.status != "ok":
        return
    for name, content in task.artefacts().items():
        write_atomically(artefact_path(stem, name), content)
        record.artefacts.append(name)


def _skipped(record: Record, reason: str, run: Run, processes: Processes) -> Record:
    record.status, record.reason = "skipped", reason
    if processes.leads:
        write_record(record, run.records)
    return record


def _train(
    loop: Loop, checkpoint: Checkpoint, on_step: Callable[[float], None], processes: Processes, loggers: Loggers
) -> None:
    """Train to the end.

    Raises:
        Interrupted: it was asked for; the checkpoint is saved.
        OSError: a logger could not write; the checkpoint is saved, and the same run continues where it was.
    """

    def after_step() -> None:
        if processes.leads:
            checkpoint.save_if_due(loop)
        on_step(loop.share_done)

    on_step(loop.share_done)
    try:
        loop.run(after_step)
    except Interrupted:
        if processes.leads:
            checkpoint.save(loop)
        if loggers.fault:
            raise loggers.fault from None
        raise
    if loggers.fault:  # of the last row: without it the history would not be whole
        checkpoint.save(loop)
        raise loggers.fault
    on_step(loop.share_done)


def failed_record(run: Run, error: BaseException) -> Record:
    """A record that says why ``run`` failed, written so that tables can show it; the next sweep tries again."""
    record = _blank_record(run)
    record.status, record.reason = "failed", kind_and_message(error)
    write_record(record, run.records)
    return record


def build(run: Run, device: torch.device) -> tuple[Task, Method]:
    """Task and method of a run, before training.

    All methods see the same generator state here, so weights and splits are paired.
    """
    config = run.config
    settings = cast(TaskConfig, OmegaConf.to_object(config.task))
    settings.model = OmegaConf.to_container(config.task.model)
    seed_everything(config.seed)
    task: Task = architectures()[config.task.architecture].build()(settings, run.source, config.seed)
    task.model.to(device)
    if config.hardware.compile:
        task.compile()
    options = {k: v for k, v in config.method.items() if k not in ("name", "code")}
    if "feedback_seed" in inspect.signature(method_class(config.method.name).__init__).parameters:
        options["feedback_seed"] = config.feedback_seed
    method = make_method(config.method.name, task.model, **options).to(device)
    if config.hardware.compile and not method.compiles:
        raise UnsuitableError(f"hardware.compile=true: {config.method.name} does not run compiled code")
    prepare_method(task, method, config.hardware.compile)
    seed_everything(config.seed + 1)  # dropout and sampling during training: not the draws of the initial weights
    return task, method


def prepare_method(task: Task, method: Method, compiled: bool) -> None:
    """Let the task prepare a method on its model, before the first step.

    Raises:
        UnsuitableError: the task does not offer what the method needs.
    """
    _check_supervision(task, method)
    with machine.in_eager_mode(compiled):
        task.prepare(method)


def _check_supervision(task: Task, method: Method) -> None:
    if not method.needs - {"replay"}:
        return
    offered = task.supervision(next(iter(task.batches(0)))).offered
    if missing := method.needs - offered - {"replay"}:
        raise UnsuitableError(f"{type(task).__name__} offers no {' and no '.join(sorted(missing))}")


def _blank_record(run: Run) -> Record:
    task = run.config.task
    return Record(
        task=task.name,
        domain=task.domain,
        architecture=task.architecture,
        dataset=task.dataset,
        method=run.method,
        profile=run.config.profile.name,
        seed=run.config.seed,
        config=determining(run.config, run.source),
        config_hash=run.config_hash,
        variant=run.variant,
        primary_metric=task.metric,
        data={"source": run.source.kind, "fingerprint": run.source.fingerprint},
        code=machine.code(),
        versions=machine.versions(),
        hardware={
            **machine.hardware(run.config.hardware.device),
            **cast(dict[str, Any], OmegaConf.to_container(run.config.hardware)),
        },
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
