"""Every network with every method, and every task: what each must fulfil, whatever its domain."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.catalogue.discovery import representatives as one_for_each_architecture
from benchmarks.catalogue.methods import entry_for, shipped_methods
from benchmarks.conformance.checks import CHECKS, Trial
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose
from benchmarks.training.interrupt import Interrupted
from benchmarks.training.loop import Loop
from dfa_core import FeedbackMethod, UnsuitableError, make_method
from tests.helpers.gradient_oracle import expected_gradients, gradients_of
from tests.helpers.runs import Built, build, near
from tests.tasks.points import name_of, points_of, representatives, snapshot

pytestmark = pytest.mark.usefixtures("folder")
METHODS = tuple(shipped_methods())
#: Of which plain autograd says what their gradients are.
WITH_ORACLE = ("bp", "dfa", "shallow")
REPRESENTATIVES = representatives()
#: Every network under every placement, one task each.
RUNS = [
    pytest.param(task, method, id=f"{task}-{method}") for task in REPRESENTATIVES.values() for method in WITH_ORACLE
]
#: Every other method on every architecture.
OTHER_METHODS = [
    pytest.param(task, method, id=f"{task}-{method}")
    for task in one_for_each_architecture()
    for method in METHODS
    if method not in WITH_ORACLE
]
#: All other tasks: the same networks on other data, or with other settings.
OTHERS = [task for task in options("task") if task not in REPRESENTATIVES.values()]


def built(task: str, method: str, *overrides: str) -> Built:
    """The run, ready to train; skipped where the task says that it does not have the method."""
    reasons = compose([f"task={task}", f"method={method}", "profile=smoke"]).task.skip
    if method in reasons:
        pytest.skip(reasons[method])
    return build(task, method, *overrides)


def check_points(run: Built) -> None:
    """The published points, and all of them run in a step."""
    points = points_of(run)
    assert points == snapshot()[name_of(run.config.task)]
    if isinstance(run.method, FeedbackMethod):
        visited: set[str] = set()
        signals = run.method.signals
        run.method.signals = lambda p: visited.update(p.activations) or signals(p)
        first_step(run)
        run.method.signals = signals
        assert visited == set(points)


def first_step(run: Built, seed: int = 7) -> dict[str, Tensor]:
    """Gradients of one training step, by parameter."""
    run.task.model.train()
    run.task.model.zero_grad(set_to_none=True)
    torch.manual_seed(seed)
    loss = run.task.loss(next(iter(run.task.batches(0))))
    assert math.isfinite(loss.item())
    run.method.backward(loss)
    return gradients_of(run.task.model)


def check_gradients(run: Built, name: str, seed: int = 7) -> None:
    """The gradients of the method called ``name``, as plain autograd gives them."""
    found = first_step(run, seed)
    torch.manual_seed(seed)
    expected = expected_gradients(run.task, run.method, next(iter(run.task.batches(0))))
    trainable = {n for n, p in run.task.model.named_parameters() if p.requires_grad}
    if name == "shallow":
        assert found.keys() == expected.keys() and found.keys() < trainable
    else:
        assert found.keys() == trainable
    for parameter, gradient in found.items():
        assert bool(gradient.isfinite().all()) and bool(gradient.any()), f"{parameter}: zero or not finite"
        assert near(gradient, expected[parameter]), parameter


@pytest.mark.parametrize(("task", "method"), RUNS)
def test_gradients_are_the_methods_own(task, method):
    """Without it a layer could stay frozen, or train by backprop under another name, in one task of many."""
    run = built(task, method)
    check_points(run)
    check_gradients(run, method)


def test_the_snapshot_has_every_network():
    """Without it a new network could be left out of what was reviewed: python -m tests.tasks.points writes it."""
    assert snapshot().keys() == REPRESENTATIVES.keys()


@pytest.mark.parametrize(("task", "method"), RUNS)
def test_two_steps_train_and_evaluate(task, method):
    """Without it a task could fail at its first evaluation, an hour into a sweep."""
    check_two_steps(built(task, method))


@pytest.mark.parametrize(("task", "method"), OTHER_METHODS)
def test_every_method_conforms(task, method, tmp_path):
    """What `python -m benchmarks.conformance` asks of somebody else's method."""
    reason = built_reason(task, method)
    if reason:
        pytest.skip(reason)
    smaller = ["task.batch_size=32"] if task.startswith("criteo/") else []
    trial = Trial.of(task, method, str(tmp_path), smaller)
    try:
        trial.loop()
    except UnsuitableError as error:
        pytest.skip(str(error))
    for check in CHECKS.values():
        check(trial)


def built_reason(task: str, method: str) -> str | None:
    """Why the task does not have the method."""
    return entry_for(method, compose([f"task={task}", f"method={method}", "profile=smoke"]).task.skip)


@pytest.mark.parametrize("task", OTHERS)
def test_every_other_task_composes_builds_and_trains(task):
    """Without it a task on other data, or with other settings, could fail when somebody asks for it."""
    run = built(task, "dfa")
    loop, batch = run.loop(), next(iter(run.task.batches(0)))
    before = {name: p.detach().clone() for name, p in run.task.model.named_parameters()}
    loop.step(batch)
    loop.step(batch)
    assert loop.progress.step == 2 and math.isfinite(float(loop._loss_sum))
    changed = {name for name, p in run.task.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == set(before) - set(run.method.untrained_parameters())


def check_two_steps(run: Built) -> None:
    """Two steps, validation and test: finite numbers under the declared names, and every parameter has moved."""
    before = {name: p.detach().clone() for name, p in run.task.model.named_parameters()}
    loop = Loop(run.task, run.method, run.config.task, run.config.hardware, stop_requested=lambda: steps_done(loop, 2))
    with contextlib.suppress(Interrupted):
        loop.run()
    assert loop.progress.step == 2 and not loop.progress.diverged
    assert run.task.samples(next(iter(run.task.batches(0)))) > 0
    run.task.model.eval()
    with torch.no_grad():
        valid, test = run.task.validate(), run.task.test()
    assert run.task.selection in valid and all(name.startswith("valid_") for name in valid)
    assert run.config.task.metric in {**valid, **test}
    assert all(math.isfinite(value) for value in [*valid.values(), *test.values()])
    changed = {name for name, p in run.task.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == set(before) - set(run.method.untrained_parameters())


def steps_done(loop: Loop, steps: int) -> bool:
    return loop.progress.step >= steps


def fingerprint(run: Built) -> dict[str, Any]:
    """What a run starts from: weights, data and the state of the generator."""
    generator = torch.get_rng_state()
    run.task.model.eval()
    with torch.no_grad():
        evaluated = {**run.task.validate(), **run.task.test()}
        torch.manual_seed(0)
        loss = run.task.loss(next(iter(run.task.batches(0)))).item()
    weights = [p.detach().double().sum().item() for p in run.task.model.parameters()]
    return {"weights": weights, "metrics": evaluated, "loss": loss, "generator": generator.tolist()}


@pytest.mark.parametrize("task", REPRESENTATIVES.values())
def test_methods_of_one_seed_start_alike(task):
    """Without it differences between methods would be differences between initial weights or splits as well."""
    skipped = compose([f"task={task}", "profile=smoke"]).task.skip
    methods = [method for method in WITH_ORACLE if method not in skipped]
    starts = [fingerprint(build(task, method, "seed=3")) for method in methods]
    assert all(start == starts[0] for start in starts)
    assert fingerprint(build(task, methods[0], "seed=4"))["weights"] != starts[0]["weights"]


# Sabotages: the checks above, on runs that are broken on purpose.


def test_check_sees_a_point_left_out(monkeypatch):
    """A point that stands in the model but is not passed leaves the layer below to backprop."""
    run = build("citation/gcn_cora", "dfa")
    monkeypatch.setattr(type(run.task.model.point), "forward", lambda self, x: x)
    with pytest.raises(AssertionError):
        check_points(run)


def test_check_sees_a_point_removed():
    """A model without the point has nothing that could be left out."""
    run = build("citation/dna_cora", "dfa")
    run.task.model.points[2] = torch.nn.Identity()
    run = Built(run.config, run.task, make_method("dfa", run.task.model))
    check_gradients(run, "dfa")  # every parameter has its gradient, some of them backprop's
    with pytest.raises(AssertionError):
        check_points(run)


def test_check_sees_a_silent_shallow():
    """The released scripts' default, 'DFA' in capitals, ran without feedback and said nothing."""
    run = build("citation/gcn_cora", "shallow")
    with pytest.raises(AssertionError):
        check_gradients(run, "dfa")


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.01], ids=["no signal", "wrong sign", "wrong scale"])
def test_check_sees_a_wrong_signal(factor):
    """Gradients that are there, and wrong."""
    run = build("citation/gcn_cora", "dfa")
    signals = run.method.signals
    run.method.signals = lambda p: {name: factor * signal for name, signal in signals(p).items()}
    with pytest.raises(AssertionError):
        check_gradients(run, "dfa")


def test_check_sees_a_path_around_the_cuts(monkeypatch):
    """A control that learns by a skip connection is none."""
    run = build("citation/gcn_cora", "shallow")
    point = type(run.task.model.point)
    forward = point.forward
    monkeypatch.setattr(point, "forward", lambda self, x: forward(self, x) + 0 * x)
    with pytest.raises(AssertionError):
        check_gradients(run, "shallow")
