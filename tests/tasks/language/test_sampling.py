"""Sampling: greedy, at the context's limit, from the right distribution."""

from __future__ import annotations

import pytest
import torch

from benchmarks.tasks.language.sampling import draw, generate
from tests.tasks.language.networks import small, some_ids


@pytest.mark.parametrize("tap", ["before", "after"])
@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"top_k": 1}])
def test_the_likeliest_tokens_of_the_last_context(settings, tap):
    """Without it text could continue from the wrong end once it is longer than the context."""
    model = small(tap=tap).eval()
    ids, _ = some_ids(batch=2, time=4)
    expected = ids
    for _ in range(7):  # the context has 6
        with torch.no_grad():
            logits = model(expected[:, -6:])
        expected = torch.cat([expected, logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(generate(model, ids, 7, **settings), expected)
    assert torch.equal(generate(model, expected, 0), expected)


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, 2), (1.0, 9)])
def test_tokens_follow_the_softmax(temperature, top_k):
    """Without it the temperature could multiply, or top-k keep the least likely."""
    logits = torch.tensor([2.0, -1.0, 0.5, 1.0])
    kept = logits.argsort(descending=True)[:top_k]
    expected = torch.zeros(4)
    expected[kept] = (logits[kept] / temperature).exp()
    generator = torch.Generator().manual_seed(0)
    tokens = draw(logits.expand(20_000, -1), temperature, top_k, generator)
    assert tokens.shape == (20_000, 1)
    frequencies = tokens.flatten().bincount(minlength=4) / 20_000
    torch.testing.assert_close(frequencies, expected / expected.sum(), rtol=0, atol=0.015)
    assert not frequencies[expected == 0].any()


def test_equal_logits_do_not_widen_the_choice():
    """Without it an untrained model's ties would let all tokens in."""
    tokens = draw(torch.zeros(500, 4), 1.0, 2, torch.Generator().manual_seed(0))
    assert len(tokens.unique()) == 2


def test_text_depends_on_the_generator_alone():
    """Without it samples in the record could not be had again, or dropout would be on while they are drawn."""
    model = small(dropout=0.5, attention_dropout=0.5).train()
    ids, _ = some_ids(batch=1, time=2)
    texts = []
    for seed in (0, 0, 1):
        texts.append(generate(model, ids, 20, generator=torch.Generator().manual_seed(seed)))
        torch.manual_seed(seed + 5)
    assert torch.equal(texts[0], texts[1]) and not torch.equal(texts[0], texts[2])
    assert model.training and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature=-1.0: must be 0 or more"),
        ({"top_k": 0}, "top_k=0: must be 1 or more"),
        ({"ids": torch.zeros(1, 0, dtype=torch.long)}, "the prompt has no token"),
    ],
)
def test_impossible_requests_are_refused(settings, message):
    """Without it an empty prompt would end in an error about an index."""
    with pytest.raises(ValueError, match=message):
        generate(small(), count=1, **{"ids": some_ids()[0], **settings})
