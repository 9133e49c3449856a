"""Where the Transformer drops: attention weights, and what each layer puts out."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks.dropout import factors
from benchmarks.tasks.language.config import TransformerConfig
from benchmarks.tasks.language.transformer import Attention
from tests.tasks.language.networks import VOCABULARY, gradients, small, some_ids


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
        "benchmarks.tasks.dropout.factors", lambda x, p: drawn.append((tuple(x.shape), p)) or original(x, p)
    )
    model = small(dropout=0.25, attention_dropout=0.125)
    model.loss(*some_ids()).backward()
    block = [((3, 2, 6, 6), 0.125), ((3, 6, 8), 0.25), ((3, 6, 12), 0.25), ((3, 6, 8), 0.25)]
    assert drawn == [((3, 6, 8), 0.25), *block, *block]
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
