"""Caches of what was computed from weights: a step that moves the weights must not read them."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from dfa_core import ErrorTap, FeedbackPoint, make_method
from tests.helpers.engine_nets import assert_same, gradients

X, Y = torch.linspace(-1, 1, 40).sin().reshape(8, 5), torch.arange(8) % 3


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


def model_of():
    torch.manual_seed(0)
    layers = [weight_norm(nn.Linear(5, 8)), nn.Tanh(), FeedbackPoint(8), weight_norm(nn.Linear(8, 3)), ErrorTap(3)]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("cache", [autocast, parametrize.cached])
def test_mezo_gives_the_same_within_a_block_around_the_step(cache):
    """Without it both passes would see one set of weights: a gradient of exactly 0, or of one side."""
    found = []
    for around in (True, False):
        model = model_of()
        method = make_method("mezo", model, epsilon=0.1)

        def closure(model=model, around=around):
            with nullcontext() if around else cache():
                return F.cross_entropy(model(X).float(), Y)

        with cache() if around else nullcontext():
            method.step(closure)
        found.append(gradients(model))
    assert all(gradient.any() for gradient in found[0].values())
    assert_same(*found)


@pytest.mark.parametrize("cache", [autocast, parametrize.cached])
@pytest.mark.parametrize("fails", [False, True])
def test_mezo_leaves_no_moved_weights_behind(cache, fails):
    """Without it an evaluation in the same block would be that of the moved weights."""
    model = model_of()
    method = make_method("mezo", model, epsilon=0.1)

    def closure():
        loss = F.cross_entropy(model(X).float(), Y)
        return loss * (1 / 0) if fails else loss

    with torch.no_grad(), cache():
        expected = model(X)
    with torch.no_grad(), cache():
        try:
            method.step(closure)
        except ZeroDivisionError:
            assert fails
        assert torch.equal(model(X), expected)
