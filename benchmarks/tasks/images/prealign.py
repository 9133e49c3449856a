"""Initial weights that lie along the feedback, as in the released code of arXiv:1906.04554.

From the output downwards, for each layer but the first: with the signals S at the layer's input and the true gradients
D at its output, both with a column per sample of one batch, Wᵀ = S D⁺, divided by its Frobenius norm. So what backprop
hands down through the layer is the signal there, as far as a linear map can do it. Biases stay. The signal is B e where
feedback enters, and elsewhere what comes down from the feedback above.
"""

from __future__ import annotations

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
    for above in reversed(range(1, len(model.hidden) + 1)):
        layer = model.hidden[above].linear if above < len(model.hidden) else model.output
        assert isinstance(layer, nn.Linear)
        signal, gradient = _signal_and_gradient(model, method, layer, above - 1, batch)
        with torch.no_grad():
            transposed = signal.T @ torch.linalg.pinv(gradient.T)
            layer.weight.copy_((transposed / transposed.norm()).T)


def _signal_and_gradient(model: MLP, method: DFA, layer: nn.Linear, below: int, batch: Batch) -> tuple[Tensor, Tensor]:
    """The signal at hidden layer ``below``, and dL/d(the output of ``layer`` above it), ``(n, width)`` each."""
    outputs: dict[nn.Module, Tensor] = {}
    ends = [hidden.get_submodule("norm") for hidden in model.hidden]
    hooks = [m.register_forward_hook(lambda m, x, output: outputs.update({m: output})) for m in [layer, *ends]]
    try:
        with method.detached():
            scores = model(batch.images)
            loss = nn.functional.cross_entropy(scores, batch.labels)
            error, gradient = torch.autograd.grad(loss, [scores, outputs[layer]], retain_graph=True)
            if f"hidden.{below}.point" in method.layout.points:
                return error @ method.matrix(f"hidden.{below}.point").to(error.dtype), gradient
            sent = error @ method.matrix(f"hidden.{below + 1}.point").to(error.dtype)
            return torch.autograd.grad(outputs[ends[below + 1]], outputs[ends[below]], sent)[0], gradient
    finally:
        for hook in hooks:
            hook.remove()
