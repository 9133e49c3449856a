"""Closures that run several times in a step: what must be the same each time, and what must be left alone."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method
from tests.engine.methods.nets import classification, make, net, supervision_of, take_step
from tests.helpers.engine_nets import WithHead, assert_same, gradients

X, Y = DATA = classification()


class LayerDrop(nn.Module):
    """Leaves out layers, points and all, by numbers that torch does not draw."""

    def __init__(self, draw) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(5, 5) for _ in range(6))
        self.points = nn.ModuleList(FeedbackPoint(5) for _ in range(6))
        self.last, self.tap, self.draw = nn.Linear(5, 4), ErrorTap(4), draw

    def forward(self, x):
        for layer, point in zip(self.layers, self.points, strict=True):
            if self.draw() < 0.5:
                x = point(torch.tanh(layer(x)))
        return self.tap(self.last(x))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dfa", {"recompute": True}),
        ("pepita", {}),
        ("predictive_coding", {}),
        ("forward_gradient", {}),
        ("directional", {}),
    ],
)
def test_layers_that_python_leaves_out_are_refused(name, options):
    """Without it signals of one network would train another: other gradients, and no message."""
    random.seed(3)
    model = LayerDrop(random.random).double()
    method = make_method(name, model, **options).double()
    with pytest.raises(FeedbackError, match=r"the same each time.*torch"):
        method.step(lambda: F.cross_entropy(model(X), Y))
    model.draw = lambda: 0.0
    method.step(lambda: F.cross_entropy(model(X), Y))  # the error leaves no trace


@pytest.mark.parametrize(
    ("name", "options"), [("dfa", {"recompute": True}), ("local", {}), ("pepita", {}), ("predictive_coding", {})]
)
def test_a_pass_that_breaks_off_is_forgotten(name, options):
    """Without it the next step finds its points: it complains of a tap that never ran, or of a point that ran twice."""
    model, whole = net(), net()
    method = make_method(name, model, **options).double()
    runs = iter(range(10))

    def fails_at_last(*_) -> None:
        if next(runs) == (5 if name == "predictive_coding" else 0):  # after its steps of inference
            raise ValueError("of the user's own")

    hook = model.layers[-1].register_forward_pre_hook(fails_at_last)
    with pytest.raises(ValueError, match="of the user's own"):
        take_step(method, model, DATA)
    hook.remove()
    take_step(method, model, DATA)
    take_step(make_method(name, whole, **options).double(), whole, DATA)
    assert_same(gradients(model), gradients(whole), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["dfa", "pepita", "predictive_coding", "forward_gradient", "directional"])
def test_layers_that_torch_leaves_out_are_left_out_again(name):
    found = []
    for recompute in (False, True) if name == "dfa" else (False,):
        model = LayerDrop(lambda: float(torch.rand(()))).double()
        method = make_method(name, model, **({"recompute": recompute} if recompute else {})).double()
        torch.manual_seed(5)
        method.step(lambda model=model: F.cross_entropy(model(X), Y))
        found.append(gradients(model))
    assert_same(found[0], found[-1], rtol=1e-12, atol=1e-14)


def test_a_pass_without_any_point():
    """Every layer may be left out; there is nothing to shift, and the output layer learns as ever."""
    expected = None
    for name in ("bp", "dfa", "pepita", "predictive_coding", "forward_gradient", "directional", "local"):
        model = LayerDrop(lambda: 1.0).double()
        make_method(name, model).double().step(lambda model=model: F.cross_entropy(model(X), Y), supervision_of(DATA))
        expected = expected or gradients(model)
        assert_same(gradients(model), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [("dfa", {"recompute": True}), ("forward_gradient", {}), ("directional", {})],
)
def test_gradients_that_a_second_run_erases(name, options, to_none):
    """The habit of LBFGS's closures: the head above the tap would not learn, and a line in a log say so."""
    model = WithHead().double()
    method = make_method(name, model, **options).double()

    def closure():
        model.zero_grad(set_to_none=to_none)
        return F.cross_entropy(model(X), Y % 3)

    with pytest.raises(FeedbackError, match=r"changed gradients.*zero_grad\(\)"):
        method.step(closure)


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [("dfa", {"recompute": True}), ("forward_gradient", {}), ("directional", {}), ("node_perturbation", {})],
)
def test_gradients_outside_of_the_model_that_a_second_run_erases(name, options, to_none):
    """A head or a criterion with weights, which the optimizer trains too."""
    model, head = net(), nn.Linear(4, 3).double()
    method = make(name, model, **options)

    def closure():
        head.zero_grad(set_to_none=to_none)
        return F.cross_entropy(head(model(X)), Y % 3)

    with pytest.raises(FeedbackError, match=r"changed gradients.*zero_grad\(\)"):
        method.step(closure)
    head.zero_grad()
    method.step(lambda: F.cross_entropy(head(model(X)), Y % 3))  # left alone, it learns
    learnt = head.weight.grad
    head.zero_grad()
    make_method("bp", model).step(lambda: F.cross_entropy(head(model(X)), Y % 3))
    assert torch.equal(learnt, head.weight.grad)


@pytest.mark.parametrize(
    ("name", "options"), [("dfa", {"recompute": True}), ("pepita", {}), ("predictive_coding", {}), ("mezo", {})]
)
def test_erasing_gradients_where_the_step_has_none_yet(name, options):
    """A refusal where nothing is lost would break loops that work."""
    found = []
    for inside in (True, False):
        torch.manual_seed(0)
        model = WithHead().body.double()
        method = make_method(name, model, **options).double()
        for _ in range(2):
            model.zero_grad()
            method.step(
                lambda model=model, inside=inside: (
                    model.zero_grad() if inside else None,
                    F.cross_entropy(model(X), Y),
                )[1]
            )
        found.append(gradients(model))
    assert_same(*found)
