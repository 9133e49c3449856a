"""Initial weights that lie along the feedback, as in the released code of arXiv:1906.04554.

From the output downwards, for each layer but the first: with the signals S = B e at the layer's input and the true
gradients D at its output, both with a column per sample of one batch, Wᵀ = S D⁺, divided by its Frobenius norm. So what
backprop hands down through the layer is the signal there, as far as a linear map can do it. Biases stay.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.tasks.images.data import Batch
from benchmarks.tasks.images.mlp import MLP
from dfa_core import DFA, Method


def prealign(model: MLP, method: Method, batch: Batch) -> None:
    """Give the model these weights.

    Raises:
        ValueError: the method has no feedback matrices to align with.
    """
    if not isinstance(method, DFA):
        raise ValueError(f"task.model.initial=prealigned: {type(method).__name__} has no feedback matrices; use dfa")
    names = [*(f"hidden.{number}" for number in range(len(model.hidden))), "output"]
    for below, name in reversed(list(pairwise(names))):
        layer = model.output if name == "output" else model.get_submodule(f"{name}.linear")
        assert isinstance(layer, nn.Linear)
        error, gradient = _gradients(model, method, layer, batch)
        signal = error @ method.matrix(f"{below}.point").to(error.dtype)
        with torch.no_grad():
            transposed = signal.T @ torch.linalg.pinv(gradient.T)
            layer.weight.copy_((transposed / transposed.norm()).T)


def _gradients(model: MLP, method: DFA, layer: nn.Linear, batch: Batch) -> tuple[Tensor, Tensor]:
    """dL/d(scores) and dL/d(the layer's output), ``(n, …)`` each."""
    outputs: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        with method.detached():
            scores = model(batch.images)
            loss = nn.functional.cross_entropy(scores, batch.labels)
            error, gradient = torch.autograd.grad(loss, [scores, outputs[0]])
    finally:
        hook.remove()
    return error, gradient
