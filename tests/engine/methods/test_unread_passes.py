"""Passes that a closure runs and its loss does not read: they change nothing, or are refused in one line."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method
from tests.engine.methods.nets import classification, make, net, supervision_of
from tests.helpers.engine_nets import assert_same, gradients

X, Y = DATA = classification()
FEWER = classification(rows=4, seed=2)[0]
AGAIN = "the same each time"


def step(name, extra, before=True, **options):
    """The gradients of a step, and of the method's own parameters, whose closure runs the model on ``extra`` too."""
    model = net(5, 7, 6, 4, dropout=0.2)
    method = make(name, model, **options)

    def closure():
        if before and extra is not None:
            extra(model)
        loss = F.cross_entropy(model(X), Y)
        if not before and extra is not None:
            extra(model)
        return loss

    torch.manual_seed(1)
    method.step(closure, supervision_of(DATA))
    return {**gradients(model), **gradients(method)}


def other_rows(model):
    model.eval()  # so that the masks of the pass that counts stay the same
    model(FEWER)
    model.train()


def equal_rows(model):
    model.eval()
    model(-X)
    model.train()


def without_gradients(model):
    with torch.no_grad():
        other_rows(model)


EXTRAS = [other_rows, equal_rows, without_gradients]


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("predictive_coding", {}),
        ("predictive_coding", {"states": "feedforward"}),
        ("pepita", {"scale": 0.5}),
        ("dfa", {}),
        ("dfa", {"recompute": True, "noise": 0.5}),
        ("mezo", {}),
        ("local", {"eager": False}),
    ],
)
def test_they_change_no_gradient(name, options, before, extra):
    """Without it errors of one pass would be sent into another, as zeros or as gradients that fit nothing."""
    assert_same(step(name, extra, before, **options), step(name, None, **options))


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("name", ["forward_gradient", "directional", "node_perturbation"])
def test_they_are_refused_where_two_passes_are_subtracted(name, before, extra):
    """Without gradients nobody can tell which passes the first run recorded."""
    with pytest.raises(FeedbackError, match=AGAIN):
        step(name, extra, before)


@pytest.mark.parametrize("before", [True, False])
def test_local_losses_refuse_to_have_trained_on_them(before):
    """Going backward early must give the gradients that going backward late gives."""
    with pytest.raises(FeedbackError, match=r"1 forward pass.*does not depend on.*eager=False.*zero_grad"):
        step("local", equal_rows, before)
    assert_same(step("local", without_gradients, before), step("local", None))


def test_a_loss_that_reads_two_passes_of_three():
    """Each pass that is read keeps its own errors."""

    def gradients_with(unread):
        model = net()

        def closure():
            first = F.cross_entropy(model(X), Y)
            if unread:
                model(FEWER)
            return first + model(2 * X).square().mean()

        for name in ("predictive_coding", "pepita"):
            make_method(name, model).double().step(closure)
        return gradients(model)

    assert_same(gradients_with(True), gradients_with(False))


class WithFeatures(nn.Module):
    """Returns its output and the activation below the last point."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.points, self.tap = nn.ModuleList([FeedbackPoint(6), FeedbackPoint(6)]), ErrorTap(4)

    def forward(self, x):
        h = torch.tanh(self.second(self.points[0](torch.tanh(self.first(x)))))
        return self.tap(self.last(self.points[1](h))), h


@pytest.mark.parametrize("in_vain", [False, True])
@pytest.mark.parametrize("features_first", [True, False])
def test_a_pass_that_the_loss_reads_below_its_tap_alone(features_first, in_vain):
    """Labelled rows by their output, others by their features: one full step of predictive coding is backprop."""

    def closure_of(model):
        def closure():
            features = model(-X)[1] if features_first else None
            scores = model(X)[0]
            features = model(-X)[1] if features is None else features
            if in_vain:
                model(FEWER)
            return F.cross_entropy(scores, Y) + features.square().mean()

        return closure

    found = []
    for name, options in [("bp", {}), ("predictive_coding", {"steps": 1, "rate": 1.0, "states": "feedforward"})]:
        model = WithFeatures().double()
        make_method(name, model, **options).step(closure_of(model))
        found.append(gradients(model))
    assert_same(*found, rtol=1e-9, atol=1e-12)


def test_a_pass_from_outside_of_the_closure_is_refused():
    """It cannot be run again."""
    for name in ("predictive_coding", "pepita"):
        model = net()
        method = make_method(name, model).double()
        outside = model(X)
        with pytest.raises(FeedbackError, match="outside of the closure"):
            method.step(lambda model=model, outside=outside: F.cross_entropy(outside + model(X), Y))
