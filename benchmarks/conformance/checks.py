"""Checks that every method must pass on every task, each a function that raises :class:`Failure` where it does not."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor

from benchmarks.settings.quoting import quoted
from benchmarks.tasks.task import Task
from benchmarks.training.alignment import has_alignment, measured_alignment
from benchmarks.training.execute import build
from benchmarks.training.loop import Loop
from benchmarks.training.randomness import random_state, set_random_state
from benchmarks.training.run import Run
from dfa_core import FeedbackError

#: Steps that are trained: enough for feedback that starts at zero to arrive.
STEPS = 4


class Failure(Exception):
    """A check found something wrong; the message says what."""


@dataclass
class Trial:
    """A task and a method, ready to train: built anew for each check that needs an untouched one."""

    run: Run

    @classmethod
    def of(cls, task: str, method: str, results: str, overrides: Sequence[str] = ()) -> Trial:
        """The smoke run of a task, on its stand-in."""
        choices = [f"task={task}", f"method={method}", "profile=smoke", "data=standin", f"results={quoted(results)}"]
        return cls(Run.plan([*choices, *overrides]))

    def loop(self) -> Loop:
        """A fresh training loop; the random generators stand where a run's do."""
        task, method = build(self.run, torch.device("cpu"))
        return Loop(task, method, self.run.config.task, self.run.config.hardware)


def trained(loop: Loop, steps: int, start: int = 0) -> Loop:
    """The same loop after some steps."""
    for batch in islice(_endless(loop.task), start, start + steps):
        loop.step(batch)
    return loop


def trains(trial: Trial) -> None:
    """Every loss is finite, and every parameter is reached that the method does not leave out on purpose."""
    loop = trial.loop()
    parameters = dict(loop.task.model.named_parameters())
    moved: set[str] = set()
    reached: set[str] = set()
    for batch in islice(_endless(loop.task), STEPS):
        before = {name: p.detach().clone() for name, p in parameters.items()}
        loss = loop.gradients(batch)
        if not math.isfinite(float(loss)):
            raise Failure(f"the loss is {float(loss)}")
        reached |= {name for name, p in parameters.items() if p.grad is not None and bool(_values(p.grad).any())}
        loop.update()
        moved |= {name for name, p in parameters.items() if not torch.equal(p, before[name])}
    left_out = set(loop.method.untrained_parameters()) if loop.method.leaves_parameters_untrained else set()
    for name in sorted(parameters.keys() - left_out):
        if name not in reached:
            raise Failure(f"{name} never got a gradient that is not zero")
        if name not in moved:
            raise Failure(f"{name} never moved")


def resumes(trial: Trial) -> None:
    """Stopped half-way and continued from its state, a training ends with the same bits."""
    whole = trained(trial.loop(), STEPS)
    half = trained(trial.loop(), STEPS // 2)
    file = io.BytesIO()
    torch.save({"loop": half.state_dict(), "random": random_state()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    continued = trial.loop()
    continued.load_state_dict(state["loop"])
    set_random_state(state["random"])
    trained(continued, STEPS - STEPS // 2, start=STEPS // 2)
    for what, a, b in (("model", whole.task.model, continued.task.model), ("method", whole.method, continued.method)):
        for name, value in a.state_dict().items():
            if not _equal(value, b.state_dict()[name]):
                raise Failure(f"after resuming, {name} of the {what} differs")


def keeps_its_state(trial: Trial) -> None:
    """The method's state dict holds all its parameters, and fits another one of the same run."""
    loop, other = trained(trial.loop(), 1), trial.loop()
    state = loop.method.state_dict()
    if missing := {name for name, _ in loop.method.named_parameters()} - state.keys():
        raise Failure(f"its state dict lacks {', '.join(sorted(missing))}")
    other.method.load_state_dict(state)
    if set(loop.task.model.state_dict()) != set(other.task.model.state_dict()):
        raise Failure("it adds to the model's state dict")


def starts_like_backprop(trial: Trial) -> None:
    """With one seed all methods start from the same weights and draw the same random numbers."""
    config = trial.run.config
    reference_weights, reference_random = _start_of_backprop(config.task.name, config.seed)
    weights, random = _start(trial)
    if any(not torch.equal(value, weights[name]) for name, value in reference_weights.items()):
        raise Failure("its initial weights differ from backprop's with the same seed")
    if not torch.equal(random, reference_random):
        raise Failure("making it draws from the global random generator")


def can_be_compared(trial: Trial) -> None:
    """Its alignment with backprop can be measured, and measuring leaves gradients and state as they were."""
    loop = trained(trial.loop(), 1)
    if not has_alignment(loop.method):
        return
    before = {name: value.clone() for name, value in _tensors(loop)}
    gradients = {name: p.grad for name, p in loop.task.model.named_parameters()}
    try:
        found = measured_alignment(loop.task, loop.method)
    except FeedbackError as error:
        raise Failure(f"its alignment cannot be measured: {error}") from error
    if not found.parameters:
        raise Failure("no parameter has an angle with backprop's gradient")
    if changed := [name for name, value in _tensors(loop) if not torch.equal(value, before[name])]:
        raise Failure(f"measuring its alignment changed {changed[0]}")
    if any(p.grad is not gradients[name] for name, p in loop.task.model.named_parameters()):
        raise Failure("measuring its alignment touched .grad")


#: All checks by the name that the command shows.
CHECKS: dict[str, Callable[[Trial], None]] = {
    "trains": trains,
    "resumes": resumes,
    "state": keeps_its_state,
    "paired": starts_like_backprop,
    "alignment": can_be_compared,
}


def _endless(task: Task) -> Iterator[Any]:
    """The batches of epoch after epoch."""
    for epoch in count():
        yield from task.batches(epoch)


@lru_cache(maxsize=1)
def _start_of_backprop(task: str, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Once for all methods of a task, which come one after the other."""
    return _start(Trial.of(task, "bp", "results", [f"seed={seed}"]))


def _start(trial: Trial) -> tuple[dict[str, Tensor], Tensor]:
    loop = trial.loop()
    return {name: p.detach() for name, p in loop.task.model.named_parameters()}, torch.get_rng_state()


def _tensors(loop: Loop) -> list[tuple[str, Tensor]]:
    """The state of model and method, by name."""
    modules = {"model": loop.task.model, "method": loop.method}
    state = [(f"{owner}.{key}", value) for owner, one in modules.items() for key, value in one.state_dict().items()]
    return [(name, value) for name, value in state if isinstance(value, Tensor)]


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _equal(a: object, b: object) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
