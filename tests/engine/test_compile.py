"""Compiled = eager. `aot_eager` captures and splits the graph as inductor does and needs no C++ compiler."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, UnsuitableError, make_method, measure_alignment
from tests.helpers.engine_nets import WithHead, assert_same, batch, build, gradients, mse

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="inductor needs a C++ compiler, found none"
)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def _eager(name, data, model):
    make_method(name, model).backward(mse(model, data))
    expected = gradients(model)
    model.zero_grad()
    return expected


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        pytest.param("dfa", "inductor", marks=needs_compiler),
        ("dfa", "aot_eager"),
        ("shallow", "aot_eager"),
        ("bp", "aot_eager"),
    ],
)
def test_a_compiled_model_equals_eager(name, backend):
    """Without it compilation would drop the marks and train shallow, as hooks did; fullgraph: without a
    break.
    """
    data, model = batch(9, 5, 3), build(5, 7, 6, 3)
    expected = _eager(name, data, model)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    method = make_method(name, compiled)
    for _ in range(2):
        model.zero_grad()
        method.backward(mse(compiled, data))
        found = gradients(model)
        if name == "shallow":  # a compiled region answers with zeros where eager mode leaves no gradient
            expected = {key: torch.zeros_like(found[key]) if g is None else g for key, g in expected.items()}
        assert_same(found, expected, rtol=1e-5, atol=1e-6)


def _point_before_tap():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), FeedbackPoint(7), nn.Linear(7, 3), FeedbackPoint(3), ErrorTap(3))


@pytest.mark.parametrize("head", [False, True])
def test_a_tap_right_behind_a_point(head):
    """As in the Transformer: the tap's input is a constant there, and the loss was said to depend on no tap."""
    (x, y), model = batch(9, 5, 3), _point_before_tap()
    above = nn.Linear(3, 3) if head else nn.Identity()
    make_method("dfa", model).backward(F.mse_loss(above(model(x)), y))
    expected = gradients(model) | gradients(above)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    method = make_method("dfa", compiled)
    for _ in range(2):
        model.zero_grad(), above.zero_grad()
        method.backward(F.mse_loss(above(compiled(x)), y))
        assert_same(gradients(model) | gradients(above), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(FeedbackError, match="a backward pass that is not the method's reached an error tap"):
        F.mse_loss(above(compiled(x)), y).backward()


@pytest.mark.parametrize("name", ["mezo", "pepita", "bp_recompute"])
@pytest.mark.parametrize("in_place", [True, False])
def test_methods_of_several_passes_refuse_compiled_models(name, in_place):
    """``model.compile()`` leaves no wrapper to be seen: a second pass would have run as the first was compiled."""
    model = build(5, 7, 6, 3)
    if in_place:
        model.compile(backend="aot_eager")
    with pytest.raises(UnsuitableError, match="do not compile the model"):
        make_method(name, model if in_place else torch.compile(model, backend="aot_eager"))


def test_a_model_that_is_compiled_after_the_method_is_recomputed_in_eager_mode():
    """Dynamo ended in an internal error about the checkpointed segments."""
    data, model = batch(9, 5, 3), nn.Sequential(build(5, 7, 6, 3))
    expected = _eager("bp", data, model)
    method = make_method("bp_recompute", model)
    compiled = torch.compile(model, backend="aot_eager")
    method.step(lambda: mse(compiled, data))
    assert_same(gradients(model), expected, rtol=1e-5, atol=1e-6)


def test_a_head_above_the_tap_stays_eager():
    """Without it the head's own gradient would be lost, or the compiled body run backward twice."""
    torch.manual_seed(0)
    data, model = batch(9, 5, 3), WithHead()
    expected = _eager("dfa", data, model)
    model.body = torch.compile(model.body, backend="aot_eager", fullgraph=True)
    make_method("dfa", model).backward(mse(model, data))
    assert_same(gradients(model), expected, rtol=1e-5, atol=1e-6)


def test_layers_above_the_tap_inside_the_region_are_refused():
    """Without it the error would be None or zero, and the whole body would stop learning without a word."""
    torch.manual_seed(0)
    data, model = batch(9, 5, 3), WithHead()
    compiled = torch.compile(model, backend="aot_eager")
    method = make_method("dfa", compiled)
    with pytest.raises(FeedbackError, match=r"'body.tap' ran but .* compile the layers above a tap apart"):
        method.backward(mse(compiled, data))


def test_further_passes_do_not_recompile():
    """Without it each of NeRF's chunks would compile anew, until the limit silently falls back to eager."""
    data, model = batch(8, 5, 3), build(5, 7, 6, 3)
    method = make_method("dfa", model)
    method.backward(2 * mse(model, data) + mse(model, data))
    expected = gradients(model)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    method.backward(mse(compiled, data))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(2):
            model.zero_grad()
            method.backward(sum((mse(compiled, data) for _ in range(2)), mse(compiled, data)))
    assert_same(gradients(model), expected, rtol=1e-5, atol=1e-6)


def test_alignment_of_a_compiled_model():
    """Without it the probe's leaves, which no compiled region can create, would end in a compiler error."""
    data, model = batch(8, 5, 3), build(5, 7, 6, 3)
    expected = measure_alignment(make_method("dfa", model), lambda: mse(model, data))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    method = make_method("dfa", compiled)
    method.backward(mse(compiled, data))
    found = measure_alignment(method, lambda: mse(compiled, data))
    assert found.parameters == pytest.approx(expected.parameters, abs=1e-5)


def test_names_do_not_depend_on_wrappers():
    """Without it a compiled run would draw other feedback than an eager one: the matrix comes from the name."""
    plain, wrapped = (make_method("dfa", wrap(build(5, 7, 3))) for wrap in (lambda m: m, torch.compile))
    assert plain.layout.tap_of == wrapped.layout.tap_of == {"points.0": "tap"}
    assert list(plain.trainable_parameters()) == list(wrapped.trainable_parameters())
    assert torch.equal(plain.matrix("points.0"), wrapped.matrix("points.0"))
