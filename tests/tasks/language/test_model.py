"""The Transformer: its size, its output from the equations, causality, its first loss, and what it can learn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.language.config import TransformerConfig
from benchmarks.tasks.language.transformer import Transformer, sinusoids
from dfa_core import make_method
from tests.tasks.language.networks import VOCABULARY, small, some_ids

# A block at width 512 and hidden width 2048: queries, keys and values, their merge, two layers, two norms.
BLOCK = 3 * (512 * 512 + 512) + (512 * 512 + 512) + (512 * 2048 + 2048) + (2048 * 512 + 512) + 2 * 2 * 512
TABLE = 32_000 * 512


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({}, 6 * BLOCK + 2 * TABLE + 32_000),
        ({"tied": True}, 6 * BLOCK + TABLE + 32_000),
        ({"norm": "pre"}, 6 * BLOCK + 2 * TABLE + 32_000 + 2 * 512),
        ({"placement": "micro", "tap": "after"}, 6 * BLOCK + 2 * TABLE + 32_000),
    ],
)
def test_parameter_counts_at_the_published_size(settings, parameters):
    """Without it a number could be told of another network, such as one that ties what the paper's does not."""
    assert (BLOCK, 6 * BLOCK + 2 * TABLE + 32_000) == (3_152_384, 51_714_304)
    with torch.device("meta"):
        model = Transformer(TransformerConfig(**settings), 32_000)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_positions_are_the_formula():
    """Without it a wrong frequency would pass for a slightly worse model."""
    table = sinusoids(context=5, width=6)
    for t in range(5):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            assert table[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def equations(model: Transformer, ids: Tensor) -> Tensor:
    """Logits ``(time, vocabulary)`` of one sequence ``(time,)``, token by token and head by head."""
    width, pre = model.config.width, model.config.norm == "pre"
    x = [model.embedding.weight[i] * math.sqrt(width) + model.positions[t] for t, i in enumerate(ids)]
    for block in model.blocks:
        read = [block.attention_norm(v) for v in x] if pre else x
        x = [v + a for v, a in zip(x, attended(block.attention, read), strict=True)]
        x = x if pre else [block.attention_norm(v) for v in x]
        read = [block.feed_forward_norm(v) for v in x] if pre else x
        x = [v + block.leave(block.enter(r).clamp(min=0)) for v, r in zip(x, read, strict=True)]
        x = x if pre else [block.feed_forward_norm(v) for v in x]
    return torch.stack([model.projection.weight @ (model.norm(v) if pre else v) + model.projection.bias for v in x])


def attended(attention: nn.Module, x: list[Tensor]) -> list[Tensor]:
    """softmax(q k / √d) v over the tokens up to each one, heads side by side, merged."""
    queries, keys, values = zip(*[attention.query_key_value(v).chunk(3) for v in x], strict=True)
    size = len(x[0]) // attention.heads
    merged = []
    for t in range(len(x)):
        heads = []
        for head in range(attention.heads):
            part = slice(head * size, (head + 1) * size)
            scores = torch.stack([queries[t][part] @ keys[s][part] / math.sqrt(size) for s in range(t + 1)])
            weights = scores.exp() / scores.exp().sum()
            heads.append(sum(weights[s] * values[s][part] for s in range(t + 1)))
        merged.append(attention.merge(torch.cat(heads)))
    return merged


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_output_is_that_of_the_equations(norm):
    """Without it a norm on the wrong side, a missing residual connection or mixed-up heads would only train worse."""
    model = small(norm=norm)
    with torch.no_grad():
        for block in model.blocks:  # the initial norms are too alike to tell apart
            block.attention_norm.weight.uniform_(0.5, 1.5)
            block.feed_forward_norm.bias.uniform_(-0.5, 0.5)
        ids, _ = some_ids(batch=1)
        torch.testing.assert_close(model(ids)[0], equations(model, ids[0]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_outputs_do_not_depend_on_later_tokens(norm):
    """Without it a model that sees what it has to predict would have the best perplexity of all."""
    model = small(norm=norm)
    ids, _ = some_ids()
    before = model(ids)
    for t in range(1, 6):
        changed = ids.clone()
        changed[:, t] = (changed[:, t] + 1) % VOCABULARY
        after = model(changed)
        assert torch.equal(after[:, :t], before[:, :t])
        assert not torch.isclose(after[:, t:], before[:, t:]).all(-1).any()


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_first_loss_is_that_of_guessing(norm):
    """Without it a wrong initial scale would cost the first thousand steps, and the warm-up be blamed."""
    model = small(norm=norm, width=64, heads=4, hidden=128, context=64, vocabulary=2000)
    ids, targets = some_ids(batch=16, time=64, vocabulary=2000)
    with torch.no_grad():
        assert model.loss(ids, targets).item() == pytest.approx(math.log(2000) + 0.5, abs=0.2)


@pytest.mark.parametrize(("tap", "tied"), [("before", False), ("before", True), ("after", False)])
def test_loss_is_the_cross_entropy_of_the_logits(tap, tied):
    """Without it the two ways to the loss could differ, or perplexities be those of other tokens."""
    model = small(tap=tap, tied=tied)
    ids, targets = some_ids()
    log_p = model(ids).log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1)  # (batch, time)
    torch.testing.assert_close(model.loss(ids, targets), -log_p.mean())
    torch.testing.assert_close(model.loss(ids, targets[:, 4:]), -log_p[:, 4:].mean())


def test_tied_matrices_are_one():
    """Without it the tied network could start with one matrix and train two."""
    model = small(tied=True)
    assert model.projection.weight is model.embedding.weight
    assert [name for name, _ in model.named_parameters() if "embedding" in name or "projection" in name] == [
        "embedding.weight",
        "projection.bias",
    ]


def test_dropout_is_where_the_settings_say():
    """Without it one of them could do nothing, or evaluation be noisy."""
    ids, _ = some_ids()
    for settings in ({"dropout": 0.5}, {"attention_dropout": 0.5}):
        model = small(**settings)
        assert not torch.equal(model(ids), model(ids)), settings
        model.eval()
        assert torch.equal(model(ids), small().eval()(ids)), settings


# Loss after 250 steps on one batch of random tokens. More tokens (64) than the width (16): their random features are
# not enough for the projection alone.
LEARNS = {("bp", "macro"): 0.1, ("dfa", "macro"): 0.6, ("dfa", "micro"): 1.1}
SHALLOW_KEEPS = 1.4


def overfitted(method_name: str, placement: str) -> float:
    model = small(width=16, hidden=64, context=16, placement=placement)
    method = make_method(method_name, model)
    ids, targets = some_ids(batch=4, time=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(250):
        optimizer.zero_grad()
        loss = model.loss(ids, targets)
        method.backward(loss)
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize(("method", "placement"), LEARNS)
def test_overfits_one_batch(method, placement):
    """Without it gradients of the right shape and the wrong direction would go unseen."""
    assert overfitted(method, placement) < LEARNS[method, placement]


def test_shallow_does_not_overfit_one_batch():
    """Without it the batch above could be one that needs no hidden layers to learn."""
    assert overfitted("shallow", "macro") > SHALLOW_KEEPS


@pytest.mark.parametrize("method", ["bp", "dfa", "shallow"])
def test_steps_under_autocast(method):
    """Without it a type that bf16 brings would stop the first run on a GPU."""
    model = small()
    method = make_method(method, model)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(*some_ids())
    method.backward(loss)
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.projection.parameters())
    assert F.l1_loss(loss, small().loss(*some_ids())) < 0.05


def test_too_many_tokens_are_refused():
    """Without it an evaluation with a longer context would end in an error about shapes."""
    with pytest.raises(ValueError, match="7 tokens: the context has 6; give fewer"):
        small()(torch.zeros(1, 7, dtype=torch.long))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 12, "heads": 8}, r"width=12: must be a multiple of heads=8"),
        ({"width": 3, "heads": 1}, r"width=3: must be even"),
        ({"layers": 0}, r"layers=0: must be 1 or more"),
        ({"norm": "layer"}, r"norm=layer: choose post or pre"),
        ({"placement": "Macro"}, r"placement=Macro: choose macro or micro"),
        ({"tap": "logits"}, r"tap=logits: choose before or after"),
        ({"top": "true"}, r"top=true: choose feedback or error"),
        ({"layers": 1, "top": "error"}, r"top=error: leaves a single block without feedback point"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    """Without it a misspelt placement would silently be another, as in the released scripts."""
    with pytest.raises(ValueError, match=rf"task\.model\.{message}"):
        TransformerConfig(**settings)
