"""What a method's gradients must be, from plain autograd: no recorder, no marks, no multi-root backward.

Hooks on the marks stand in for the engine. The points' outputs are detached (or not, for backprop), and DFA's
signals enter as a second loss Σ_i ⟨B_i e, h_i⟩, whose gradient at h_i is B_i e.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmarks.tasks.task import Task
from dfa_core import DFA, ErrorTap, FeedbackMethod, FeedbackPoint, Method

Gradients = dict[str, Tensor]


def gradients_of(model: nn.Module) -> Gradients:
    """Gradients by parameter name, of the parameters that have one; sparse ones made dense, to be compared."""
    return {name: p.grad.to_dense().clone() for name, p in model.named_parameters() if p.grad is not None}


def expected_gradients(task: Task, method: Method, batch: object) -> Gradients:
    """The gradients that ``method`` has to produce on ``batch``; its ``bp``, ``shallow`` or ``dfa`` by type."""
    method.layout.attach(None)  # marks are identities now
    cut = isinstance(method, FeedbackMethod)
    task.model.zero_grad(set_to_none=True)
    try:
        with _hooked(task.model, cut) as visits:
            loss = task.loss(batch)
            objective = loss + _feedback(method, loss, visits) if isinstance(method, DFA) else loss
            objective.backward()
    finally:
        method.layout.attach(method.recorder if cut else None)
    found = gradients_of(task.model)
    task.model.zero_grad(set_to_none=True)
    return found


@contextmanager
def _hooked(model: nn.Module, cut: bool) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what passes each mark, in order; cut at the points if asked to."""
    visits: dict[str, list[Tensor]] = defaultdict(list)

    def keep(module: nn.Module, inputs: object, out: Tensor) -> Tensor:
        visits[module.name].append(out)
        if not (cut and isinstance(module, FeedbackPoint)):
            return out
        # A tap directly above asks for the gradient of what it is given, so that must be able to have one.
        return out.detach().requires_grad_()

    marks = [module for module in model.modules() if isinstance(module, FeedbackPoint | ErrorTap)]
    handles = [mark.register_forward_hook(keep) for mark in marks]
    try:
        yield visits
    finally:
        for handle in handles:
            handle.remove()


def _feedback(method: DFA, loss: Tensor, visits: dict[str, list[Tensor]]) -> Tensor:
    """Σ ⟨B_i e, h_i⟩ over all points and passes; the k-th visit of a point belongs to the k-th of its tap."""
    taps = method.layout.taps
    errors = {name: torch.autograd.grad(loss, visits[name], retain_graph=True) for name in taps}
    total = loss.new_zeros(())
    for point, tap in method.layout.tap_of.items():
        for activation, error in zip(visits[point], errors[tap], strict=True):
            signal = error.reshape(-1, taps[tap].width) @ method.matrix(point)
            total = total + (signal.reshape(activation.shape) * activation).sum()
    return total
