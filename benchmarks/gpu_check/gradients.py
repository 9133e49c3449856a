"""One step's gradients of every task and method on the device, beside the CPU's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.conformance.checks import Trial
from benchmarks.gpu_check.drawn_on_cpu import DrawnOnCPU
from benchmarks.settings.compose import compose
from benchmarks.terminal.names import one_line
from benchmarks.training.execute import build
from benchmarks.training.loop import Loop
from benchmarks.training.run import Run
from dfa_core import UnsuitableError

#: Of a parameter's gradient, relative to its size. Sums in another order differ by about 1e-6, through many layers
#: and exponentials by more; another formula differs by a tenth.
TOLERANCE = 1e-3
_VANISHING = 1e-6  # of the largest gradient: below, a difference is rounding


@dataclass(frozen=True)
class Compared:
    """A task and a method.

    Attributes:
        error: the largest relative error of a parameter's gradient; NaN where there was no step.
        parameter: whose error that is.
        reason: why there was no step.
    """

    task: str
    method: str
    error: float
    parameter: str = ""
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the devices agree, or the task does not have the method."""
        return bool(self.reason) or self.error <= TOLERANCE


def compared(tasks: Sequence[str], methods: Sequence[str], device: str, results: str) -> Iterator[Compared]:
    """Every method on every task, on stand-ins of profile smoke, without dropout; nothing is written to ``results``."""
    for task in tasks:
        model = map(str, compose([f"task={task}", "profile=smoke"]).task.model)
        without_dropout = [f"task.model.{name}=0" for name in model if "dropout" in name]
        for method in methods:
            yield _compared(Trial.of(task, method, results, without_dropout).run, device)


def _compared(run: Run, device: str) -> Compared:
    task, method = run.config.task.name, run.config.method.name
    if reason := run.skip_reason:
        return Compared(task, method, float("nan"), reason=reason)
    try:
        here = gradients(run, torch.device("cpu"))
    except UnsuitableError as error:
        return Compared(task, method, float("nan"), reason=one_line(str(error)))
    there = gradients(run, torch.device(device))
    largest = max(float(gradient.norm()) for gradient in here.values())
    errors = {name: _error(there.get(name), gradient, _VANISHING * largest) for name, gradient in here.items()}
    errors |= {name: float("inf") for name in there.keys() - here.keys()}
    worst = max(errors, key=lambda name: errors[name])
    return Compared(task, method, errors[worst], worst)


def gradients(run: Run, device: torch.device) -> dict[str, Tensor]:
    """Gradients of a run's first step by parameter, on the CPU; random numbers are the CPU's on every device."""
    with DrawnOnCPU():
        task, method = build(run, device)
        loop = Loop(task, method, run.config.task, run.config.hardware)
        loop.gradients(next(iter(task.batches(0))))
    own = ((f"method.{name}", p) for name, p in method.named_parameters())
    parameters = (*task.model.named_parameters(), *own)
    return {name: p.grad.to_dense().cpu() for name, p in parameters if p.grad is not None}


def _error(found: Tensor | None, expected: Tensor, floor: float) -> float:
    if found is None:
        return float("inf")
    error = float((found - expected).norm() / expected.norm().clamp(min=max(floor, 1e-30)))
    return float("inf") if math.isnan(error) else error  # which is no agreement
