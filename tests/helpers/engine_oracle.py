"""What a feedback method must give each parameter, from plain autograd on a model whose points detach.

Let ĥ_i be what point i passes on, held constant, L the loss with all its terms, and e = ∂L/∂(output) at the tap.
A parameter's gradient is that of

    L(…, ĥ, …) + Σ_i ⟨B_i e, h_i⟩

so that every term of L, whatever it reads, reaches the parameters down to the next cut by its true gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfa_core import DFA, ErrorTap, FeedbackMethod, FeedbackPoint
from tests.helpers.engine_nets import gradients


def expected(model: nn.Module, method: FeedbackMethod, closure: Callable[[], Tensor]) -> dict[str, Tensor | None]:
    """The gradients of one step on ``closure``, which runs ``model`` once; no gradient of the model is kept."""
    attached: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def at_point(mark: nn.Module, _inputs: object, h: Tensor) -> Tensor:
        attached[mark.name] = h
        return h.detach()

    def at_tap(mark: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        outputs[mark.name] = output.view_as(output)  # not the input itself: a term that reads that is no part of e
        return outputs[mark.name]

    hooks = [m.register_forward_hook(at_point) for m in model.modules() if isinstance(m, FeedbackPoint)]
    hooks += [m.register_forward_hook(at_tap) for m in model.modules() if isinstance(m, ErrorTap)]
    with method.detached():
        loss = closure()
    for hook in hooks:
        hook.remove()
    total = loss
    for point, h in attached.items():
        tap = method.layout.tap_of[point]
        (e,) = torch.autograd.grad(loss, outputs[tap], retain_graph=True)
        if isinstance(method, DFA):
            signal = e.reshape(-1, method.layout.taps[tap].width) @ method.matrix(point)
            total = total + (signal.reshape(h.shape) * h).sum()
    model.zero_grad()
    total.backward()
    found = gradients(model)
    model.zero_grad()
    return found
