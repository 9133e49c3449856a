"""Text from a trained model: one token after another."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.tasks.language.transformer import Transformer


@torch.no_grad()
def generate(
    model: Transformer,
    ids: Tensor,
    count: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Continue ``ids (batch, time)`` by ``count`` tokens: ``(batch, time + count)``.

    The model sees the last tokens only once there are more than its context. It runs in evaluation mode and is left in
    the mode it was in.

    Args:
        model: any device.
        ids: the prompt, at least one token.
        count: tokens to add.
        temperature: divides the logits; 0 always takes the likeliest token.
        top_k: draw from the k likeliest tokens only (``None``, or more than there are: from all).
        generator: on the CPU, where tokens are drawn, so that they do not depend on the device but for rounding.

    Raises:
        ValueError: an empty prompt, or a temperature or top_k out of range.
    """
    _check(ids, temperature, top_k)
    training = model.training
    model.eval()
    try:
        for _ in range(count):
            hidden = model.hidden(ids[:, -model.config.context :])[:, -1:]  # (batch, 1, width)
            logits = model.project(hidden)[:, -1].float().cpu()  # (batch, vocabulary)
            chosen = draw(logits, temperature, top_k, generator)
            ids = torch.cat([ids, chosen.to(ids)], dim=1)
    finally:
        model.train(training)
    return ids


def draw(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    """A token for each row of ``logits (batch, vocabulary)``, ``(batch, 1)``."""
    if temperature == 0:
        return logits.argmax(dim=1, keepdim=True)
    # By rank: equal logits then do not let more than k tokens in.
    likeliest, tokens = logits.topk(min(top_k or logits.shape[1], logits.shape[1]), dim=1)  # (batch, k) each
    ranks = torch.multinomial((likeliest / temperature).softmax(dim=1), 1, generator=generator)
    return tokens.gather(1, ranks)


def _check(ids: Tensor, temperature: float, top_k: int | None) -> None:
    if ids.shape[1] < 1:
        raise ValueError("the prompt has no token: give at least one")
    if temperature < 0:
        raise ValueError(f"temperature={temperature}: must be 0 or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k}: must be 1 or more, or None for all tokens")
