"""Compiled training steps are the eager ones: the same gradients, masks and evaluations, and a clock of their own."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from benchmarks.settings.schema import HardwareConfig
from benchmarks.terminal.errors import UsageError
from benchmarks.training.execute import execute
from benchmarks.training.loop import Loop
from benchmarks.training.run import Run
from dfa_core import UnsuitableError, make_method
from tests.helpers.runs import build, near
from tests.helpers.toy_task import Toy, settings

#: By task, what makes its step draw random numbers.
TASKS = {
    "mnist/cnn": (),
    "wikitext2/micro": ("task.model.dropout=0.2", "task.model.attention_dropout=0.2"),
    "wikitext2/macro": ("task.model.tap=after", "task.model.dropout=0.2"),
    "criteo/deepfm": ("task.model.dropout=0.3",),
    "criteo/dcn": (),
    "nerf_synthetic/lego": (),
}


@pytest.fixture
def backend(monkeypatch):
    """Compilation that captures and splits the graph as inductor does, in seconds and without a C++ compiler."""
    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend="aot_eager"))
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def gradients_of(task: str, method: str, *overrides: str) -> dict[str, torch.Tensor]:
    """The gradients of the second step: of the first one the compiled code has only just been made."""
    built = build(task, method, *TASKS[task], *overrides)
    batches = iter(built.task.batches(0))
    loop = built.loop()
    loop.step(next(batches))
    loop.gradients(next(batches))
    found = {name: p.grad for name, p in built.task.model.named_parameters() if p.grad is not None}
    return {name: g.to_dense() if g.is_sparse else g for name, g in found.items()}


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("method", ["bp", "dfa"])
def test_gradients_equal_those_of_eager_steps(task, method, backend):
    """A mark that the compiler dropped, a mask of its own, or one that is drawn anew going backward would differ."""
    expected = gradients_of(task, method)
    found = gradients_of(task, method, "hardware.compile=true")
    assert found.keys() == expected.keys() and found
    assert all(near(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("method", ["mezo", "fa", "bp_recompute", "dfa"])
def test_methods_that_run_no_compiled_code_have_no_such_run(method, backend):
    """A record that says "compiled" of eager steps would be worse than none."""
    more = ["method.recompute=true"] if method == "dfa" else []
    with pytest.raises(UnsuitableError, match="compile"):
        build("mnist/mlp", method, "hardware.compile=true", *more)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["task=citation/gcn_cora"], "citation/gcn_cora has sparse products"),
        (["task=mnist/mlp"], r"needs a C\+\+ compiler: g\+\+ or clang\+\+ in the path, or CXX"),
    ],
)
def test_what_cannot_be_compiled_is_refused_in_one_line(overrides, words, monkeypatch, tmp_path):
    """Otherwise PyTorch's compiler ends the run, pages later."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UsageError, match=words) as caught:
        Run.plan([*overrides, "method=dfa", "profile=smoke", "hardware.compile=true"])
    assert "\n" not in str(caught.value)


def test_steps_that_compile_are_no_training_time(backend, monkeypatch):
    """Minutes of compiling would make compiled training look slow, and its throughput low."""
    task = Toy(dropout=0.0)
    task.compile()
    loop = Loop(task, make_method("dfa", task.model), settings(epochs=2), HardwareConfig("cpu", "fp32", compile=True))
    compiled = []
    monkeypatch.setattr(loop, "clock_stopped", _noting(loop.clock_stopped, compiled, loop))
    progress = loop.run()
    assert compiled.count(0) == 1 and progress.step == 12  # one shape of batches; the other pauses are evaluations
    assert 0 < progress.train_seconds < progress.compile_seconds
    assert progress.samples == 11 * 8


def _noting(clock_stopped, at, loop):
    def noted():
        at.append(loop.progress.step)
        return clock_stopped()

    return noted


def test_a_record_tells_how_long_it_compiled(backend, tmp_path):
    """The variant keeps it apart from eager runs, whose sums are rounded in another order."""
    run = Run.plan(["task=mnist/mlp", "method=dfa", "profile=smoke", "hardware.compile=true", f"results={tmp_path}"])
    eager = Run.plan(["task=mnist/mlp", "method=dfa", "profile=smoke", f"results={tmp_path}"])
    assert run.id != eager.id and run.variant == "hardware.compile=True" and not eager.variant
    record, plain = execute(run), execute(eager)
    assert record.hardware["compile_seconds"] > 0 and "compile_seconds" not in plain.hardware
    assert record.metrics["accuracy"] == pytest.approx(plain.metrics["accuracy"], abs=2)
