"""The training loop of all domains: epochs or steps, clipping, schedule, early stopping, best weights, resume."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.records.run_history import Row
from benchmarks.settings.schema import HardwareConfig, TaskConfig
from benchmarks.tasks.task import Task
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.machine import in_eager_mode
from benchmarks.training.processes import ALONE, Processes
from benchmarks.training.progress import Progress
from benchmarks.training.updates import Updates
from dfa_core import Method


class Loop(Updates):
    """Trains one task with one method.

    Args:
        task, method: what to train and how credit is assigned.
        config: the task's settings.
        hardware: precision of the forward pass, device.
        on_evaluation: called with each history row (step, epoch, train_loss, lr, validation metrics, seconds).
        stop_requested: polled after every step; when true the loop raises :class:`Interrupted`.
        probe: called with the number of each evaluation, from 1; what it returns is put into the history.
        processes: those that share every batch; the leader alone evaluates and probes.
    """

    def __init__(
        self,
        task: Task,
        method: Method,
        config: TaskConfig,
        hardware: HardwareConfig,
        on_evaluation: Callable[[Row], None] = lambda row: None,
        stop_requested: Callable[[], bool] = lambda: False,
        probe: Callable[[int], Row] = lambda evaluation: {},
        processes: Processes = ALONE,
    ) -> None:
        super().__init__(task, method, config.optim, hardware, processes, stop_requested)
        self.config = config
        self.progress = Progress()
        self.best_weights: dict[str, Tensor] = {}
        self._on_evaluation, self._probe = on_evaluation, probe
        self._loss_sum: Tensor | None = None  # since the last evaluation; on the device, so a step never waits
        self._loss_count = 0
        self._compiles = hardware.compile
        self._compiled_for: set[int] = set()  # samples of a batch: of another shape a step is compiled anew
        self._clock: float | None = None  # since when training time has not been counted; None while it stands still

    def run(self, after_step: Callable[[], None] = lambda: None) -> Progress:
        """Train until the budget is spent, training diverges, or patience ends; continues where `progress` stands.

        ``after_step`` is called between steps (for periodic checkpoints).
        """
        progress = self.progress
        self._clock = time.perf_counter()
        while not progress.finished:
            self._epoch(after_step)
        self._count_time()
        return progress

    @property
    def share_done(self) -> float:
        """The share of the budget that is spent; within a first epoch whose length no one knows it stays 0."""
        progress = self.progress
        if self.config.steps is not None:
            return progress.step / self.config.steps
        length = (progress.step - progress.batch) / progress.epoch if progress.epoch else self.task.epoch_length
        in_epoch = min(progress.batch / length, 1.0) if length else 0.0
        return min((progress.epoch + in_epoch) / (self.config.epochs or 1), 1.0)

    @contextlib.contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """A block that is not training time; time up to now is counted in `progress`."""
        running = self._clock is not None
        self._count_time()
        self._clock = None
        try:
            yield
        finally:
            self._clock = time.perf_counter() if running else None

    def load_best(self) -> None:
        """Put the best weights by validation into the model (the current ones if none was evaluated)."""
        if self.best_weights:
            self.task.model.load_state_dict(self.best_weights)

    def test(self) -> Row:
        """Test metrics of the best weights, in the precision of training."""
        self.load_best()
        return self._measure(self.task.test)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit, but the random generators."""
        return {
            "model": self.task.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "progress": vars(self.progress),
            "best_weights": self.best_weights,
            "loss": [self._loss_sum, self._loss_count],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state_dict`."""
        self.task.model.load_state_dict(state["model"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.progress = Progress(**state["progress"])
        self.best_weights = state["best_weights"]
        self._loss_sum, self._loss_count = state["loss"]

    def _epoch(self, after_step: Callable[[], None]) -> None:
        """The rest of the current epoch, or less if the run ends within it."""
        progress, start = self.progress, self.progress.batch
        for batch in self.task.batches(progress.epoch, start):
            self.step(batch)
            progress.batch += 1
            if self.config.steps is not None:
                self._evaluate_if_due(progress.step, self.config.steps)
            if progress.finished:
                return
            if self.stopped or (self._processes.world == 1 and self._stop_requested()):
                raise Interrupted
            after_step()
        if progress.batch == 0:
            raise ValueError(f"epoch {progress.epoch} of {type(self.task).__name__} has no batches")
        progress.epoch, progress.batch = progress.epoch + 1, 0
        if self.config.epochs is not None:
            self._evaluate_if_due(progress.epoch, self.config.epochs)

    def step(self, batch: Any) -> None:
        """One update of the parameters from ``batch``; its loss enters the mean of the next evaluation."""
        samples = self.task.samples(batch)
        if self._compiles and samples not in self._compiled_for:
            self._compiled_for.add(samples)
            started = time.perf_counter()
            with self.clock_stopped():
                self._step(batch)
            self.progress.compile_seconds += time.perf_counter() - started
        else:
            self._step(batch)
            self.progress.samples += samples

    def _step(self, batch: Any) -> None:
        loss = self.gradients(batch)
        self.update()
        self._loss_sum = loss if self._loss_sum is None else self._loss_sum + loss
        self._loss_count += 1
        self.progress.step += 1

    def _evaluate_if_due(self, done: int, total: int) -> None:
        if done % self.config.eval_every == 0 or done >= total:
            with self.clock_stopped():
                self._evaluate(last=done >= total)

    def _evaluate(self, last: bool) -> None:
        """Validate, keep the best weights, decide whether the run is over, and add a row to the history."""
        progress, started = self.progress, time.perf_counter()
        train_loss = float(self._loss_sum) / self._loss_count if self._loss_sum is not None else math.nan
        self._loss_sum, self._loss_count = None, 0
        scores = self._processes.from_leader(lambda: self._scores(train_loss))
        progress.diverged = not all(map(math.isfinite, [train_loss, *scores.values()]))
        if not progress.diverged:
            self._keep_best(scores)
        patience = self.config.patience
        out_of_patience = patience is not None and progress.evaluations_since_best >= patience
        progress.finished = progress.diverged or last or out_of_patience
        evaluated = time.perf_counter()
        progress.eval_seconds += evaluated - started
        more = self._probe(len(progress.history) + 1) if self._processes.leads and not progress.diverged else {}
        progress.alignment_seconds += time.perf_counter() - evaluated
        row = {
            "step": progress.step,
            "epoch": progress.epoch,
            "train_loss": train_loss,
            "lr": self.optimizer.param_groups[0]["lr"],
            **scores,
            **more,
            "train_seconds": round(progress.train_seconds, 4),
        }
        progress.history.append(row)
        self._on_evaluation(row)

    def _scores(self, train_loss: float) -> Row:
        return self._measure(self.task.validate) if math.isfinite(train_loss) else {}

    def _measure(self, evaluation: Callable[[], Row]) -> Row:
        self.task.model.eval()
        with torch.no_grad(), self.forward_context(), in_eager_mode(self._compiles):
            return evaluation()

    def _keep_best(self, scores: Row) -> None:
        progress, value = self.progress, scores[self.task.selection]
        self.schedule.after_evaluation(value)
        better = progress.best is None or (value > progress.best if self.higher_is_better else value < progress.best)
        better |= self.task.keeps_last
        progress.evaluations_since_best = 0 if better else progress.evaluations_since_best + 1
        if better:
            progress.best, progress.best_metrics = value, scores
            self.best_weights = {k: v.detach().clone() for k, v in self.task.model.state_dict().items()}

    def _count_time(self) -> None:
        if self._clock is None:
            return
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.progress.train_seconds += now - self._clock
        self._clock = now
