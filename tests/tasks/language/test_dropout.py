"""Dropout from random bits: what it keeps, how often, what of; and the attention that uses it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks.language.config import TransformerConfig
from benchmarks.tasks.language.dropout import Dropout, factors
from benchmarks.tasks.language.transformer import Attention
from tests.tasks.language.networks import VOCABULARY, gradients, small, some_ids


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


def attention(p: float) -> Attention:
    torch.manual_seed(0)
    return Attention(TransformerConfig(width=8, heads=2, attention_dropout=p)).double()


def by_torch(module: Attention, x: Tensor) -> Tensor:
    """With PyTorch's function."""
    q, k, v = module.query_key_value(x).unflatten(-1, (3, module.heads, -1)).permute(2, 0, 3, 1, 4)
    return module.merge(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


def test_attention_that_drops_next_to_nothing_is_pytorchs():
    """Without it scale, mask or heads of the path with dropout could differ: other networks in training and test."""
    plain, dropping = attention(0.0), attention(1e-9)  # rounds to 0
    assert dropping.dropout.active
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = by_torch(plain, inputs[0]), dropping(inputs[1])
    torch.testing.assert_close(outputs[1], outputs[0])
    above = torch.randn_like(x)
    for output in outputs:
        output.backward(above)
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad)
    for (name, mine), its in zip(dropping.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, msg=name)


def test_attention_drops_weights_not_outputs():
    """Without it the dropout could come before the softmax, which would make up for what was dropped."""
    module, x = attention(0.5), torch.randn(1, 5, 8, dtype=torch.float64)
    torch.manual_seed(2)
    found = module(x)
    torch.manual_seed(2)
    kept = factors(torch.empty(1, 2, 5, 5, dtype=torch.float64), 0.5)
    q, k, v = module.query_key_value(x).unflatten(-1, (3, 2, 4)).unbind(2)  # (batch, time, heads, size)
    scores = torch.einsum("bthd,bshd->bhts", q, k) / 2
    weights = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf).softmax(-1) * kept
    torch.testing.assert_close(found, module.merge(torch.einsum("bhts,bshd->bthd", weights, v).flatten(2)))


def test_dropped_attention_is_causal():
    """Without it training with dropout would see what it has to predict."""
    model = small(attention_dropout=0.3, dropout=0.2)
    ids, _ = some_ids()
    changed = ids.clone()
    changed[:, 3] = (changed[:, 3] + 1) % VOCABULARY
    outputs = []
    for tokens in (ids, changed):
        torch.manual_seed(7)
        outputs.append(model(tokens))
    assert torch.equal(outputs[0][:, :3], outputs[1][:, :3])
    assert not torch.equal(outputs[0][:, 3:], outputs[1][:, 3:])


def test_average_over_masks_is_the_network_without():
    """Without it a factor forgotten in one place would shift what evaluation sees against training."""
    module, x = attention(0.2), torch.randn(1, 6, 8, dtype=torch.float64)
    torch.manual_seed(3)
    draws = torch.stack([module(x).detach() for _ in range(4000)])
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - module.eval()(x)).abs() <= 5 * error + 1e-12).all()


def test_every_dropout_draws_its_own(monkeypatch):
    """Without it a setting could be read twice, and the other do nothing: the rates differ here."""
    drawn = []
    original = factors
    monkeypatch.setattr(
        "benchmarks.tasks.language.dropout.factors", lambda x, p: drawn.append((tuple(x.shape), p)) or original(x, p)
    )
    model = small(dropout=0.25, attention_dropout=0.125)
    model.loss(*some_ids()).backward()
    block = [((3, 2, 6, 6), 0.125), ((3, 6, 8), 0.25), ((3, 6, 12), 0.25), ((3, 6, 8), 0.25)]
    assert drawn == [((3, 6, 8), 0.25), *block, *block]
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
