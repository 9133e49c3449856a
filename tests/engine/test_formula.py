"""The gradients of each method against formulas written out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.speed.peers.reentrant import ReentrantDFA
from dfa_core import DFA, ErrorTap, FeedbackPoint, make_method
from tests.helpers.engine_nets import Net, assert_same, batch, build, gradients, mse


@pytest.mark.parametrize("act", [torch.tanh, torch.relu], ids=["tanh", "relu"])
def test_dfa_is_the_explicit_formula(act):
    """Without it a wrong matrix, a missing activation derivative or a dropped point would still 'train'."""
    model, (x, y) = build(5, 7, 6, 3, act=act), batch(9, 5, 3)
    method = make_method("dfa", model)
    method.backward(mse(model, (x, y)))

    (w1, b1), (w2, b2), (w3, b3) = ((layer.weight, layer.bias) for layer in model.layers)
    with torch.no_grad():
        a1 = x @ w1.T + b1
        h1 = act(a1)
        a2 = h1 @ w2.T + b2
        h2 = act(a2)
        e = 2 * (h2 @ w3.T + b3 - y) / y.numel()  # dL/d(output) of the mean squared error
        slope = (lambda a: 1 - torch.tanh(a) ** 2) if act is torch.tanh else (lambda a: (a > 0).float())
        d1 = (e @ method.matrix("points.0")) * slope(a1)
        d2 = (e @ method.matrix("points.1")) * slope(a2)
        expected = {
            "layers.0.weight": d1.T @ x,
            "layers.0.bias": d1.sum(0),
            "layers.1.weight": d2.T @ h1,
            "layers.1.bias": d2.sum(0),
            "layers.2.weight": e.T @ h2,
            "layers.2.bias": e.sum(0),
        }
    assert_same(gradients(model), expected, rtol=1e-5, atol=1e-7)


def test_true_downstream_maps_give_backprop_on_a_linear_net():
    """Without it the signal could be off by a transpose, a scale or a layer, and only look random."""
    model, data = build(5, 7, 6, 3, act=lambda a: a, bias=False), batch(9, 5, 3)
    make_method("bp", model).backward(mse(model, data))
    expected = gradients(model)
    model.zero_grad()
    method = make_method("dfa", model, feedback="uniform")
    with torch.no_grad():
        method.matrix("points.0").copy_(model.layers[2].weight @ model.layers[1].weight)
        method.matrix("points.1").copy_(model.layers[2].weight)
    method.backward(mse(model, data))
    assert_same(gradients(model), expected, rtol=1e-5, atol=1e-7)


def test_shallow_trains_the_top_layer_alone():
    """Without it the control could leak gradient through a cut, and DFA would look no better than it."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    make_method("bp", model).backward(mse(model, data))
    true = gradients(model)
    model.zero_grad()
    make_method("shallow", model).backward(mse(model, data))
    assert_same(gradients(model), {n: g if n.startswith("layers.2") else None for n, g in true.items()})


def test_marks_change_nothing_under_backprop():
    """Without it the baseline might train another network than the one without marks."""
    marked, plain, data = build(5, 7, 6, 3), build(5, 7, 6, 3, marked=False), batch(9, 5, 3)
    make_method("dfa", marked)  # attaching bp must undo this
    method = make_method("bp", marked)
    loss, plain_loss = mse(marked, data), mse(plain, data)
    assert torch.equal(loss, plain_loss)
    method.backward(loss)
    plain_loss.backward()
    assert_same(gradients(marked), gradients(plain))


def test_marks_are_identities_without_gradients():
    """Without it an evaluation between steps would be recorded and break or bias the next step."""
    model, data = build(5, 7, 3), batch(9, 5, 3)
    method = make_method("dfa", model)
    with torch.no_grad():
        model(data[0])
    method.backward(mse(model, data))
    first = gradients(model)
    model.zero_grad()
    method.backward(mse(model, data))
    assert_same(first, gradients(model))


def test_agrees_with_an_engine_written_independently():
    """Without it an error shared by the formula test and the engine's shortcuts (no input gradients) stays."""
    model, data = build(6, 9, 8, 7, 4, act=torch.relu), batch(12, 6, 4)
    make_method("dfa", model, feedback_seed=3).backward(mse(model, data))
    expected = gradients(model)
    model.zero_grad()
    ReentrantDFA(model, feedback_seed=3).backward(mse(model, data))
    assert_same(gradients(model), expected, rtol=1e-6, atol=1e-6)


def test_no_input_gradient_is_computed_across_a_cut():
    """Without it the engine would be right and slow: the saving over backprop would quietly be gone."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    arrived = []
    for layer in model.layers:
        layer.register_forward_pre_hook(lambda _, inputs: arrived.append(inputs[0].requires_grad))
    make_method("dfa", model).backward(mse(model, data))
    assert arrived == [False, False, False]


@settings(max_examples=25)
@given(
    lead=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    widths=st.lists(st.integers(1, 5), min_size=3, max_size=5),
    kind=st.sampled_from(["shared_uniform", "uniform", "gaussian", "orthogonal"]),
)
def test_any_batch_dims_equal_the_flat_batch(lead, widths, kind):
    """Without it time or node dims could be mixed with features, at some shape nobody tried."""
    nested, flat = (build(*widths, batch_dims=dims) for dims in (len(lead), 1))
    x = torch.randn(*lead, widths[0])
    for model, inputs in ((nested, x), (flat, x.reshape(-1, widths[0]))):
        DFA(model, feedback=kind).backward(model(inputs).square().mean())
    assert_same(gradients(nested), gradients(flat), rtol=1e-4, atol=1e-6)


def test_features_of_several_dims_are_flattened():
    """Without it a convolutional point would get a signal in another order than its matrix' columns."""

    class Image(Net):
        def __init__(self) -> None:
            super().__init__(5, 6, 2)
            self.points[0], self.tap = FeedbackPoint((2, 3)), ErrorTap((2, 1))

        def forward(self, x):
            h = self.points[0](torch.tanh(self.layers[0](x)).reshape(-1, 2, 3))
            return self.tap(self.layers[1](h.flatten(1))[..., None]).flatten(1)

    torch.manual_seed(0)
    image, flat, data = Image(), build(5, 6, 2), batch(4, 5, 2)
    for model in (image, flat):
        DFA(model).backward(mse(model, data))
    assert_same(gradients(image), gradients(flat), rtol=1e-6, atol=1e-8)
