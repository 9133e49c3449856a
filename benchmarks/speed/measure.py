"""Timing one case: all forms of training side by side in one process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.speed.cases import SpeedCase
from benchmarks.speed.reentrant import ReentrantDFA
from benchmarks.training.machine import libc_call
from dfa_core import make_method

#: How a loss is turned into gradients, by name: from a model to the function that takes the loss.
FORMS: dict[str, Callable[[nn.Module], Callable[[Tensor], None]]] = {
    "bp": lambda model: make_method("bp", model).backward,
    "dfa": lambda model: make_method("dfa", model).backward,
    "re-entrant dfa": lambda model: ReentrantDFA(model).backward,
}


@dataclass(frozen=True)
class Timing:
    """The cost of one form's step.

    Attributes:
        wall: seconds of each timed step.
        cpu: processor seconds of each timed step, all threads together. Other processes that take a core
            stretch ``wall`` and leave this nearly alone.
    """

    wall: list[float]
    cpu: list[float]

    def ratio_to(self, other: Timing) -> tuple[float, float]:
        """Median over the rounds of wall and of processor time, relative to ``other``'s in the same round."""
        wall, cpu = (
            statistics.median(mine / theirs for mine, theirs in zip(a, b, strict=True))
            for a, b in ((self.wall, other.wall), (self.cpu, other.cpu))
        )
        return wall, cpu


def measure_memory(case: SpeedCase) -> dict[str, float | None]:
    """Highest resident memory during a step above that before it, in MB by form; ``None`` where not measurable.

    Call it before :func:`benchmarks.training.machine.keep_freed_memory`.
    """
    return {name: _peak_mb(step) for name, step in _steps(case).items()}


def measure_case(case: SpeedCase, repeats: int | None = None) -> dict[str, Timing]:
    """Step every form in turn (A B C A B C …), so that a disturbance meets all of them.

    The first round warms up and is not counted.
    """
    steps = _steps(case)
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range((repeats or case.repeats) + 1):
        for name, step in steps.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            step()
            if repeat:
                wall[name].append(time.perf_counter() - wall_start)
                cpu[name].append(time.process_time() - cpu_start)
    return {name: Timing(wall[name], cpu[name]) for name in steps}


def _steps(case: SpeedCase) -> dict[str, Callable[[], None]]:
    torch.manual_seed(0)
    inputs, targets = case.batch()
    return {name: _step(case, form, inputs, targets) for name, form in FORMS.items()}


def _step(
    case: SpeedCase, form: Callable[[nn.Module], Callable[[Tensor], None]], inputs: Tensor, targets: Tensor
) -> Callable[[], None]:
    torch.manual_seed(0)
    model = case.model()
    backward = form(model)
    optimizer = case.optimizer(model) if case.optimizer else None

    def step() -> None:
        backward(case.loss(model(inputs), targets))
        if optimizer:
            optimizer.step()
        model.zero_grad()

    return step


def _peak_mb(step: Callable[[], None]) -> float | None:
    """Linux keeps a process' highest resident size and lets the process reset it."""
    step()  # what is allocated once (workspaces, optimizer state) is not the step's
    gc.collect()
    libc_call("malloc_trim", 0)  # or the step would fill memory that is free but still counted
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status_mb("VmRSS")
        step()
        return _status_mb("VmHWM") - before
    except (OSError, KeyError):
        return None


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return int(status[field].split()[0]) / 1024
