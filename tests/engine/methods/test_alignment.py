"""Alignment of every family: measured without a trace, and with what its cosines are to be read with."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from dfa_core import make_method, measure_alignment
from dfa_core.measuring.cosines import effective_rank, point_statistics
from tests.engine.methods.nets import (
    classification,
    closure_of,
    net,
    replaced,
    supervision_of,
    take_step,
)
from tests.helpers.engine_nets import assert_same, gradients

DATA = classification()
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize(
    "name", ["fa", "dkp", "local", "drtp", "forward_gradient", "mezo", "pepita", "predictive_coding"]
)
def test_alignment_is_measured_and_leaves_no_trace(name):
    """Gradients, the method's own parameters and its noise stay; without it measuring would train."""
    model = net()
    method = make_method(name, model).double()
    take_step(method, model, DATA)
    before = {**gradients(model), **gradients(method)}
    state = {
        key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in method.state_dict().items()
    }
    found = measure_alignment(method, closure_of(model, DATA), supervision_of(DATA))
    assert_same({**gradients(model), **gradients(method)}, before)
    assert all(
        torch.equal(torch.as_tensor(state[key]), torch.as_tensor(value)) for key, value in method.state_dict().items()
    )
    assert found.parameters["layers.2.weight"] > 0.5 or name == "mezo"
    assert set(found.weights) <= {"points.0", "points.1"} and (found.weights or name == "dkp")


def test_alignment_of_backprop_by_another_way_is_one():
    """Predictive coding with one full step; each parameter, and each point's weights."""
    model = net()
    method = make_method("predictive_coding", model, steps=1, rate=1.0, states="feedforward")
    found = measure_alignment(method, closure_of(model, DATA))
    assert all(value == pytest.approx(1) for value in found.parameters.values())
    assert [w.cosine for w in found.weights.values()] == pytest.approx([1, 1])


def test_the_effective_rank_counts_directions():
    """Equal eigenvalues count fully, small ones hardly; no signal has no direction."""
    assert effective_rank(torch.eye(3)) == pytest.approx(3)
    assert effective_rank(torch.diag(torch.tensor([1.0, 1e-3]))) == pytest.approx(1, abs=1e-4)
    assert effective_rank(torch.ones(5, 2)) == pytest.approx(1) and effective_rank(torch.zeros(5, 2)) == 0


def test_the_statistics_beside_the_cosines():
    """Activity, reference and rank, each against its definition; parallel signals have rank 1."""
    model = net(5, 7, 6, 1)
    method = make_method("dfa", model).double()
    x = DATA[0]
    found = measure_alignment(method, lambda: model(x).square().mean()).statistics
    h = torch.tanh(model.layers[0](x)).detach()
    assert found["points.0"].activation == pytest.approx(h.square().mean().sqrt().item(), rel=1e-5)
    assert found["points.0"].effective_rank == pytest.approx(1)  # one error entry: all signals are multiples of B
    with method.detached():
        h2 = torch.tanh(model.layers[1](h)).requires_grad_()
        g = torch.autograd.grad(model.layers[2](h2).square().sum(), h2)[0]
    assert found["points.1"].reference == pytest.approx(g.norm(dim=1).mean().item(), rel=1e-5)
    assert 0 <= found["points.1"].sign_agreement <= 1 and not found["points.1"].void
    with replaced(model.layers[2], "weight", nn.Parameter(1e-12 * model.layers[2].weight)):
        assert measure_alignment(method, lambda: model(x).mean()).statistics["points.0"].void


@pytest.mark.parametrize(("size", "void"), [(1e25, False), (math.inf, True)])
def test_gradients_of_a_diverging_training_are_measured_or_void(size, void):
    """Their squares overflow fp32: the length was infinite, and the record that held it could not be read."""
    h = torch.ones(4, 3)
    found = point_statistics(h * 1e30, h * size, h, width=3)
    assert found.activation == pytest.approx(1e30, rel=1e-6) and found.void == void
    assert found.reference == pytest.approx(4 * math.sqrt(3) * size, rel=1e-6)


@pytest.mark.parametrize("name", ["fa", "pepita", "predictive_coding", "dfa", "dkp"])
def test_an_optimizer_in_the_backward_pass_rests_while_alignment_is_measured(name):
    """Without it measuring would train the model, once more for every measurement."""
    model = net()
    method = make_method(name, model).double()
    calls = []

    def update(p):
        calls.append(p)
        torch.optim.SGD([p], 0.1).step()
        p.grad = None

    handles = [p.register_post_accumulate_grad_hook(update) for p in model.parameters()]
    before = copy.deepcopy(model.state_dict())
    measure_alignment(method, closure_of(model, DATA))
    assert not calls
    assert_same(model.state_dict(), before)
    method.step(closure_of(model, DATA))
    assert len(calls) == len(handles)  # they are back
    handles[0].remove()
    calls.clear()
    method.step(closure_of(model, DATA))
    assert len(calls) == len(handles) - 1
