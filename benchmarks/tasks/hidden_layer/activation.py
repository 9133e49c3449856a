"""The hidden layer of a model, found by its marks: no architecture needs a method of its own for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dfa_core import FeedbackPoint


def hidden_layer(model: nn.Module, *inputs: Any, weights: Mapping[str, Tensor] | None = None) -> Tensor | None:
    """The activation at the last feedback point of a forward pass in evaluation mode, ``(*batch, *features)``.

    That is what the top layer reads: the deepest representation that exists without the top layer, and the one that
    ``shallow`` leaves as it was initialised. None where the model has no feedback point.

    Args:
        model: left as it is, mode and random generators included.
        inputs: of the forward pass.
        weights: entries of a state dict to use in place of the model's own.
    """
    seen: list[Tensor] = []
    points = [module for module in model.modules() if isinstance(module, FeedbackPoint)]
    hooks = [point.register_forward_hook(lambda module, args, output: seen.append(output)) for point in points]
    training = model.training
    model.eval()  # dropout would blur the picture, and draw random numbers that training is waiting for
    try:
        with torch.no_grad():  # the marks are identities then
            functional_call(model, dict(weights or {}), inputs)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return seen[-1] if seen else None


def copied_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now, whatever training does to them afterwards."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
