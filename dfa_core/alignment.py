"""Alignment: how far the feedback points where backprop would.

DFA learns when B_i e comes to lie within 90° of the true gradient dL/dh_i. The probe measures the angle on
*one* forward pass, so both gradients see the same dropout mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dfa_core.backward import backpropagate_to_taps
from dfa_core.errors import FeedbackError
from dfa_core.layout import Layout
from dfa_core.methods import FeedbackMethod
from dfa_core.recorder import Pass, Recorder, Visit


@dataclass(frozen=True)
class Alignment:
    """Cosines between a method's signals and backprop's gradients.

    Attributes:
        points: per feedback point, from the input upwards, the cosine of each sample, ``(samples,)`` on the CPU.
            A sample whose signal or gradient is zero has no angle and is left out.
        parameters: per parameter, the cosine of the two gradients.
    """

    points: dict[str, Tensor]
    parameters: dict[str, float]

    @property
    def deepest(self) -> Tensor:
        """The cosines of the point farthest from the error tap, the one the paper reports."""
        return next(iter(self.points.values()))

    def quantiles(self, point: str, q: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)) -> list[float]:
        """Quantiles of one point's cosines over the samples."""
        values: list[float] = torch.quantile(self.points[point], torch.tensor(q)).tolist()
        return values


def measure_alignment(method: FeedbackMethod, closure: Callable[[], Tensor]) -> Alignment:
    """Compare ``method`` with backprop on one forward pass; parameters' ``.grad`` stays untouched.

    Args:
        method: an attached feedback method (``dfa``, or one of your own that returns signals).
        closure: runs the model in eager mode and returns the scalar loss.

    Raises:
        FeedbackError: the method sends no signals (``shallow``), or the pass used the marks wrongly.
    """
    parameters = [(name, p) for name, p in method._parameters_by_name if p.requires_grad]
    kept = [p.grad for _, p in parameters]
    probe = _ProbeRecorder()
    method.layout.attach(probe)
    try:
        with torch.enable_grad():
            loss = closure()
        passes = probe.take(method.layout)
        for _, p in parameters:
            p.grad = None
        backpropagate_to_taps(loss, passes)
        above = [p.grad for _, p in parameters]
        with torch.no_grad():
            signals = [method.signals(forward_pass) for forward_pass in passes]
        true = _sweep(passes, parameters, None)
        sent = _sweep(passes, parameters, signals)
    finally:
        method.layout.attach(method.recorder)
        for (_, p), grad in zip(parameters, kept, strict=True):
            p.grad = grad
    if not any(signals):
        raise FeedbackError(f"{type(method).__name__} sends no signals, so it has no alignment to measure")
    return Alignment(_point_cosines(method.layout, passes, signals), _parameter_cosines(parameters, above, true, sent))


class _ProbeRecorder(Recorder):
    """Passes on leaves at the points as well, so that the true gradient can be chained through every cut."""

    def at_point(self, name: str, x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        self.last = Visit(name, x, leaf, self.last)
        return leaf


def _sweep(
    passes: list[Pass],
    parameters: list[tuple[str, Tensor]],
    signals: list[dict[str, Tensor | None]] | None,
) -> list[Tensor | None]:
    """Gradients of the parameters below the taps: true ones (``signals`` None; fills the leaves' grads) or sent ones.

    A pass's segments are swept from the top. Above each point lie only segments swept before, so when a point's
    turn comes its leaf has gathered the whole of dL/dh_i.
    """
    total: list[Tensor | None] = [None] * len(parameters)
    for index, forward_pass in reversed(list(enumerate(passes))):
        segments = [(forward_pass.arrived, lambda p=forward_pass: p.error)]
        for name in reversed(forward_pass.activations):
            if signals is None:
                gradient = lambda leaf=forward_pass.leaves[name]: leaf.grad  # noqa: E731
            else:
                gradient = lambda s=signals[index].get(name): s  # noqa: E731
            segments.append((forward_pass.activations[name], gradient))
        leaves = list(forward_pass.leaves.values())
        for root, gradient in segments:
            value = gradient()
            if value is None or not root.requires_grad:
                continue
            inputs = [*(p for _, p in parameters), *leaves]
            grads = torch.autograd.grad(
                root, inputs, value.reshape(root.shape).to(root.dtype), retain_graph=True, allow_unused=True
            )
            for i, grad in enumerate(grads[: len(parameters)]):
                total[i] = _plus(total[i], grad)
            if signals is None:
                for leaf, grad in zip(leaves, grads[len(parameters) :], strict=True):
                    leaf.grad = _plus(leaf.grad, grad)
    return total


def _point_cosines(
    layout: Layout, passes: list[Pass], signals: list[dict[str, Tensor | None]]
) -> dict[str, Tensor]:
    cosines: dict[str, list[Tensor]] = {}
    for forward_pass, sent in zip(passes, signals, strict=True):
        for name, leaf in forward_pass.leaves.items():
            signal = sent.get(name)
            if signal is not None and leaf.grad is not None:
                width = layout.points[name].width
                cosines.setdefault(name, []).append(_row_cosines(leaf.grad, signal, width))
    return {name: torch.cat(parts) for name, parts in cosines.items()}


def _row_cosines(a: Tensor, b: Tensor, width: int) -> Tensor:
    a, b = (t.detach().float().reshape(-1, width) for t in (a, b))
    lengths = a.norm(dim=1) * b.norm(dim=1)
    defined = lengths > 0
    return ((a * b).sum(1)[defined] / lengths[defined]).cpu()


def _parameter_cosines(
    parameters: list[tuple[str, Tensor]],
    above: list[Tensor | None],
    true: list[Tensor | None],
    sent: list[Tensor | None],
) -> dict[str, float]:
    cosines: dict[str, float] = {}
    for (name, _), top, a, b in zip(parameters, above, true, sent, strict=True):
        backprop, feedback = _plus(top, a), _plus(top, b)
        if backprop is None or feedback is None:
            continue
        lengths = backprop.norm() * feedback.norm()
        if lengths > 0:
            cosines[name] = float((backprop * feedback).sum() / lengths)
    return cosines


def _plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
