"""Losses that are exactly 0 for samples that are right: the task says how many samples the mean is a mean of."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dfa_core import FeedbackError, Supervision, make_method
from tests.engine.methods.nets import classification, net

X, Y = classification()
SAMPLES = Supervision(samples=lambda tap: len(X))
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def sharp():
    """A network that has several samples right by more than the margin, and several not."""
    model = net(5, 7, 6, 4)
    with torch.no_grad():
        model.layers[2].weight.mul_(6)
        at_margin = F.multi_margin_loss(model(X), Y, reduction="none") == 0
    assert 0 < at_margin.sum() < len(X)
    return model


def test_predictive_coding_infers_by_the_sum_of_all_samples_losses():
    """Samples with a margin count: the documented rule, written down once more."""
    model, steps, rate = sharp(), 4, 0.3
    method = make_method("predictive_coding", model, steps=steps, rate=rate, states="feedforward")
    method.step(lambda: F.multi_margin_loss(model(X), Y), SAMPLES)
    h = torch.tanh(model.layers[0](X))
    errors = [torch.zeros(len(X), width, dtype=torch.float64) for width in (7, 6)]
    for _ in range(steps):
        first, second = (e.detach().requires_grad_() for e in errors)
        upper = torch.tanh(model.layers[1](h.detach() + first)) + second
        loss = F.multi_margin_loss(model.layers[2](upper), Y, reduction="sum")
        slopes = torch.autograd.grad(loss, [first, second])
        errors = [e.detach() - rate * (e.detach() + d) for e, d in zip((first, second), slopes, strict=True)]
    (expected,) = torch.autograd.grad(h, model.layers[0].weight, -errors[0] / len(X))
    torch.testing.assert_close(model.layers[0].weight.grad, expected, **CLOSE)


def test_pepita_takes_the_error_of_one_samples_loss():
    model = sharp()
    method = make_method("pepita", model, scale=0.5).double()
    method.step(lambda: F.multi_margin_loss(model(X), Y), SAMPLES)
    h = torch.tanh(model.layers[0](X)).detach()
    scores = model.layers[2](torch.tanh(model.layers[1](h))).detach().requires_grad_()
    (e,) = torch.autograd.grad(F.multi_margin_loss(scores, Y, reduction="sum"), scores)
    shift = e @ method._matrix("points.0", e)
    torch.testing.assert_close(model.layers[0].bias.grad, (shift * (1 - h**2)).sum(0) / len(X), **CLOSE)


@pytest.mark.parametrize("name", ["pepita", "predictive_coding"])
def test_the_count_is_that_of_the_samples_with_an_error_where_all_have_one(name):
    found = []
    for supervision in (None, SAMPLES):
        model = net(5, 7, 6, 4)
        make_method(name, model).double().step(lambda model=model: F.cross_entropy(model(X), Y), supervision)
        found.append(model.layers[0].weight.grad)
    assert torch.equal(*found)


@pytest.mark.parametrize("name", ["pepita", "predictive_coding"])
def test_no_samples_are_refused(name):
    model = net(5, 7, 6, 4)
    with pytest.raises(FeedbackError, match=r"samples says 0 at error tap 'tap'"):
        make_method(name, model).double().step(lambda: F.cross_entropy(model(X), Y), Supervision(samples=lambda tap: 0))
