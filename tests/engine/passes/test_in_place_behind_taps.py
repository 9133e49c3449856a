"""In-place operations behind a tap: they change what the tap has passed on, and nothing that a method has kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dfa_core import make_method, measure_alignment
from tests.engine.methods.nets import classification, make, net, supervision_of
from tests.helpers.engine_nets import assert_same, gradients

X, Y = DATA = classification()


class Behind(nn.Module):
    """A network whose output is scaled and masked, in place or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.inner, self.in_place = net(), in_place

    def forward(self, x):
        o = self.inner(x)
        if self.in_place:
            o.mul_(3.0)
            o[:, 0] = -1e4
            o[0] *= 0
            return o
        rest = torch.cat([torch.full_like(o[1:, :1], -1e4), 3.0 * o[1:, 1:]], 1)
        return torch.cat([0 * o[:1], rest])


def loss_of(model):
    return nn.functional.cross_entropy(model(X), Y.clamp(min=1))


METHODS = [
    ("bp", {}),
    ("dfa", {}),
    ("dfa", {"recompute": True}),
    ("fa", {}),
    ("directional", {}),
    ("forward_gradient", {}),
    ("node_perturbation", {}),
    ("predictive_coding", {}),
    ("predictive_coding", {"states": "feedforward"}),
    ("pepita", {"scale": 0.5}),
    ("mezo", {}),
    ("local", {}),
    ("local", {"eager": False}),
]


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_gradients_are_those_of_the_form_that_returns_a_new_tensor(name, options):
    """Without it a difference of two outputs would be that of 3 o and o, divided by a small epsilon."""
    found = []
    for in_place in (False, True):
        model = Behind(in_place).double()
        method = make(name, model, **options)
        torch.manual_seed(1)
        method.step(lambda model=model: loss_of(model), supervision_of(DATA))
        found.append({**gradients(model), **{f"own {n}": g for n, g in gradients(method).items()}})
    assert_same(*found, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["dfa", "directional", "forward_gradient", "mezo"])
def test_alignment_is_that_of_the_form_that_returns_a_new_tensor(name):
    """Without it the measurement would end with an error of autograd's own."""
    found = []
    for in_place in (False, True):
        model = Behind(in_place).double()
        found.append(measure_alignment(make_method(name, model).double(), lambda model=model: loss_of(model)))
    assert found[1].parameters == pytest.approx(found[0].parameters, abs=1e-7)
    for point, cosines in found[0].points.items():
        torch.testing.assert_close(found[1].points[point], cosines)
