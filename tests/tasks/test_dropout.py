"""Dropout from random bits: what it keeps, how often, what of."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from benchmarks.tasks.dropout import Dropout, factors


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_factors_are_zero_or_a_constant_of_mean_one(p):
    """Without it entries could be dropped too often, or be too large, and only training would suffer."""
    n = 400_001  # no multiple of the four numbers in 64 bits
    torch.manual_seed(0)
    found = factors(torch.ones(n, dtype=torch.float64), p)
    dropped = round(p * 2**16) / 2**16
    assert set(found.unique().tolist()) == {0.0, 1 / (1 - dropped)}
    share = (found == 0).double().mean().item()
    assert abs(share - dropped) < 5 * math.sqrt(p * (1 - p) / n)  # five standard deviations
    assert dropped == pytest.approx(p, abs=1e-5)


def test_neighbours_are_independent():
    """Without it the four numbers of 64 bits could be copies: whole groups would be dropped together."""
    torch.manual_seed(0)
    kept = (factors(torch.ones(100_000, 4), 0.5) > 0).float()
    covariance = torch.cov(kept.T) - torch.eye(4) / 4
    assert covariance.abs().max() < 5 * 0.25 / math.sqrt(100_000)
    shifted = kept.flatten()
    assert abs((shifted[4:] * shifted[:-4]).mean() - 0.25) < 0.005


@pytest.mark.parametrize(("p", "value"), [(0.0, 1.0), (1.0, 0.0), (1e-6, 1.0)])
def test_the_ends_are_all_and_nothing(p, value):
    """Without it p=1 would divide by zero, and p=0 would drop a few."""
    assert torch.equal(Dropout(p)(torch.ones(1000)), torch.full((1000,), value))


def test_gradient_has_the_mask_of_the_output():
    """Without it the backward pass could drop others than the forward pass did."""
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert torch.equal(x.grad * x, y)
    assert 0 < (x.grad == 0).sum() < x.numel()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_dropped_relu_is_dropout_of_relu(p, dtype):
    """Without it the two in one could drop others, forget the factor behind, or train units that were dropped."""
    x, above = torch.randn(50, 7, dtype=dtype), torch.randn(50, 7, dtype=dtype)
    found = []
    for relu_then_dropout in (Dropout(p).relu_then_dropout, lambda x: Dropout(p)(F.relu(x))):
        torch.manual_seed(1)
        entered = x.clone().requires_grad_()
        left = relu_then_dropout(entered)
        left.backward(above)
        found.append((left, entered.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert found[0][0].dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_type_and_shape_stay(dtype):
    """Without it dropout would turn autocast's bf16 into fp32, and every layer after it would be slower."""
    x = torch.ones(3, 5, dtype=dtype)
    assert (Dropout(0.5)(x).dtype, Dropout(0.5)(x).shape) == (dtype, x.shape)


def test_masks_are_the_generators_and_new_each_time():
    """Without it a resumed run would see other masks, or every step the same one."""
    x, drop = torch.ones(1000), Dropout(0.5)
    torch.manual_seed(4)
    state = torch.get_rng_state()
    first, second = drop(x), drop(x)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(drop(x), first) and torch.equal(drop(x), second)


def test_evaluation_and_zero_draw_nothing():
    """Without it runs without dropout would no longer be those that were recorded."""
    x, state = torch.ones(10), torch.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(torch.get_rng_state(), state)
