"""What is kept, and for how long: passes without a step, checkpointed regions, feedback matrices."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dfa_core import FeedbackError, FeedbackMatrices, make_method
from tests.helpers.engine_nets import Net, assert_same, batch, build, gradients, mse


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def _alive(model: Net, forward: Callable[[], object], passes: int) -> list[int]:
    """How many of the first layer's outputs are alive after each pass."""
    kept: list[weakref.ref[Tensor]] = []
    hook = model.layers[0].register_forward_hook(lambda _m, _i, out: kept.append(weakref.ref(out)))
    counts = []
    for _ in range(passes):
        forward()
        counts.append(sum(ref() is not None for ref in kept))
    hook.remove()
    return counts


def test_passes_without_a_step_are_freed():
    """Without it an evaluation that forgot no_grad would keep every activation, until memory runs out."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    method = make_method("dfa", model)
    gc.disable()
    try:
        assert max(_alive(model, lambda: mse(model, data).item(), 1000)) == 0
        assert max(_alive(model, lambda: model.points[0](model.layers[0](data[0])), 1000)) <= 1  # its tap never runs
    finally:
        gc.enable()
    method.reset()
    method.backward(mse(model, data))


@pytest.mark.parametrize("inner", [False, True], ids=["method on the outside", "method made before compiling"])
def test_compiled_passes_without_a_step_are_freed(inner):
    """Without it the same, in a compiled model, where nothing of the engine runs between two passes."""
    model, data = build(5, 7, 3), batch(9, 5, 3)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    method = make_method("dfa", model if inner else compiled)
    activations: list[weakref.ref[Tensor]] = []
    for _ in range(20):
        mse(compiled, data).item()
        activations.append(weakref.ref(method.recorder._last.previous.input))
    assert sum(activation() is not None for activation in activations) == 1, "that of the last pass"
    method.backward(mse(compiled, data))
    assert None not in gradients(model).values()


def test_two_forward_passes_then_their_two_steps():
    """Without it the passes of two losses would have to alternate with their steps."""
    model, a, b = build(5, 7, 3), batch(9, 5, 3, seed=1), batch(9, 5, 3, seed=2)
    method = make_method("dfa", model)
    method.backward(mse(model, a))
    method.backward(mse(model, b))
    expected = gradients(model)
    model.zero_grad()
    first, second = mse(model, a), mse(model, b)
    mse(model, a)  # a third one that nobody wants
    method.backward(first)
    method.backward(second)
    assert_same(gradients(model), expected)


class Checkpointed(Net):
    """All but the last layer in one checkpointed region, with the points in it."""

    reentrant = False

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.layers[-1](checkpoint(self.hidden, x, use_reentrant=self.reentrant)))

    def hidden(self, x: Tensor) -> Tensor:
        for layer, point in zip(self.layers, self.points, strict=False):
            x = point(torch.tanh(layer(x)))
        return x


@pytest.mark.parametrize("name", ["dfa", "shallow"])
def test_a_checkpointed_region_with_points(name):
    """Without it what the backward pass recomputes would be taken for the beginning of the next pass."""
    plain, data = build(5, 7, 6, 3), batch(9, 5, 3)
    make_method(name, plain).backward(mse(plain, data))
    torch.manual_seed(0)
    model = Checkpointed(5, 7, 6, 3)
    method = make_method(name, model)
    for _ in range(3):
        model.zero_grad()
        method.backward(mse(model, data))
        assert_same(gradients(model), gradients(plain))


def test_reentrant_checkpointing_is_refused():
    """Without it the points of the region, which ran without gradients, would get no signal in silence."""
    model, data = Checkpointed(5, 7, 6, 3), batch(9, 5, 3)
    model.reentrant = True
    method = make_method("dfa", model)
    data[0].requires_grad_()
    with pytest.raises(FeedbackError, match="use_reentrant=False"):
        method.backward(mse(model, data))


@pytest.mark.parametrize("feedback", ["shared_uniform", "uniform", "gaussian"])
@pytest.mark.parametrize("scaling", ["widest", "width"])
def test_matrices_are_drawn_in_place(feedback, scaling, monkeypatch):
    """Without it a large vocabulary would take many times the memory of the matrices while they are made."""
    sizes: list[int] = []
    for name in ("empty", "rand", "randn", "cat", "zeros"):
        made = getattr(torch, name)

        def counted(*args, made=made, **options):
            result = made(*args, **options)
            sizes.append(result.numel())
            return result

        monkeypatch.setattr(torch, name, counted)
    widths = {f"points.{i}": 64 + i % 2 for i in range(24)}
    matrices = FeedbackMatrices("tap", 1000, widths, kind=feedback, scaling=scaling)
    assert sum(sizes) <= 1.2 * matrices.weight.numel()
