"""One training step of a feedback method, in the order in which it happens.

1. The loss goes backward to the error taps. What lies above them gets its true gradient; each tap its error e.
2. The method makes the signals out of the errors.
3. From all feedback points and taps at once, the gradients go down to the next cuts.

A loss may also read activations below a tap (a KL term, a penalty on activations). Its gradient starts in the part of
the graph where step 3 runs. Then step 1 only reads the errors, and the loss goes backward together with step 3, so that
every node runs once and every parameter gets one gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from dfa_core.errors import FeedbackError
from dfa_core.graph import Above
from dfa_core.passes import Pass, passes_of
from dfa_core.recorder import Recorder, Trace

Signals = Mapping[str, Tensor | None]
Root = Tensor | GradientEdge


def feedback_step(
    loss: Tensor, recorder: Recorder, signals_of: Callable[[Sequence[Pass]], Sequence[Signals]]
) -> None:
    """Accumulate into ``.grad`` what a feedback method gives each parameter.

    Args:
        loss: a scalar, computed by the model that ``recorder`` is attached to.
        signals_of: the signals of each pass, given the passes with their errors.

    Raises:
        FeedbackError: the marks were used wrongly; nothing was accumulated but, at most, gradients above the taps.
    """
    above = _above(loss, recorder)
    traces = [trace for trace, _ in above.taps]
    passes = passes_of(traces)
    with recorder.stepping(traces):
        together = above.meets_below() or (above.compiled and _hooked(above))
        roots = _errors_alone(loss, above, passes) if together else _down_to_taps(loss, above, passes)
        if together and above.compiled:
            recorder.expect_at_regions([p.error for p, trace in _paired(passes, traces) if trace.attached is None])
        signals = signals_of(passes)
        for forward_pass, (trace, place), sent in zip(passes, above.taps, signals, strict=True):
            roots += _roots_below(forward_pass, trace, place, sent, error_flows=together)
        if roots:
            torch.autograd.backward([root for root, _ in roots], [gradient for _, gradient in roots])
    for _, place in above.taps:
        if isinstance(place, Tensor):
            place.grad = None  # a module fed by a tap hands it a gradient too, which nobody wants


def check_signals(forward_pass: Pass, sent: Signals) -> None:
    """Raise :class:`FeedbackError` unless each signal belongs to a point of the pass and has its shape."""
    for name, signal in sent.items():
        if name not in forward_pass.activations:
            ran = ", ".join(f"'{point}'" for point in forward_pass.activations) or "none"
            raise FeedbackError(
                f"a signal was sent to feedback point '{name}', which did not run before error tap "
                f"'{forward_pass.tap}': send signals to the points of forward_pass.activations (here {ran})"
            )
        activation = forward_pass.activations[name]
        if signal is not None and signal.shape != activation.shape:
            raise FeedbackError(
                f"the signal for feedback point '{name}' has shape {tuple(signal.shape)}, its activation "
                f"{tuple(activation.shape)}: a method returns one entry per entry of the activation"
            )


def _above(loss: Tensor, recorder: Recorder) -> Above:
    if loss.dim() != 0 and loss.numel() != 1:
        raise FeedbackError(f"the loss has shape {tuple(loss.shape)}: reduce it to a scalar, by mean() or sum()")
    unfinished = recorder.take_unfinished()
    above = Above.of(loss, recorder)
    if unfinished:
        raise FeedbackError(
            f"its error tap never ran after feedback point '{unfinished}': pass the output that the loss is computed "
            "from through the tap; after a forward pass that ended early, call method.reset()"
        )
    if not above.taps:
        raise FeedbackError(
            "the loss depends on no error tap: compute it, with gradients enabled, by the model that this method was "
            "made for (a copy of it is not attached, and attaching another method detaches this one), from what the "
            "tap returns, not detached"
        )
    return above


def _hooked(above: Above) -> bool:
    """Has a parameter above the taps hooks of the user's own? They must see its gradient once."""
    return any(leaf._backward_hooks for leaf in above.leaves.values())


def _down_to_taps(loss: Tensor, above: Above, passes: list[Pass]) -> list[tuple[Root, Tensor | None]]:
    """Step 1 where nothing below the taps is read but their output; returns what is still to be accumulated."""
    places = [place for _, place in above.taps]
    leaves: list[Tensor] = []
    if above.compiled:
        # `backward` would enter a compiled region, whose one backward function is to run once, in step 3.
        leaves = list(above.leaves.values())
        found = torch.autograd.grad(loss, [*places, *leaves], allow_unused=True)
    else:
        torch.autograd.backward(loss)
        found = tuple(place.grad for place in places if isinstance(place, Tensor))
        for place in places:
            if isinstance(place, Tensor):
                place.grad = None
    for forward_pass, error in zip(passes, found, strict=False):
        forward_pass.error = error
    return [(leaf, g) for leaf, g in zip(leaves, found[len(places) :], strict=True) if g is not None]


def _errors_alone(loss: Tensor, above: Above, passes: list[Pass]) -> list[tuple[Root, Tensor | None]]:
    """Step 1 where the loss goes backward in step 3."""
    places = [place for _, place in above.taps]
    found = torch.autograd.grad(loss, places, retain_graph=True, allow_unused=True)
    for forward_pass, error in zip(passes, found, strict=True):
        forward_pass.error = error
    return [(loss, None)]


def _roots_below(
    forward_pass: Pass, trace: Trace, place: Root, sent: Signals, error_flows: bool
) -> list[tuple[Root, Tensor | None]]:
    """Where step 3 starts in one pass: the points with their signals, the tap with its error."""
    check_signals(forward_pass, sent)
    roots: list[tuple[Root, Tensor | None]] = []
    for name, signal in sent.items():
        root = trace.points[name].root
        if isinstance(root, int):
            assert isinstance(place, GradientEdge)
            root = GradientEdge(place.node, root)
        if signal is not None and root is not None:
            roots.append((root, signal.to(trace.points[name].value.dtype)))
    error = forward_pass.error  # read in any case: a tap without error is a mistake of the caller
    if trace.attached is None:
        if not error_flows:
            roots.append((place, error))
    elif trace.attached.requires_grad:
        roots.append((trace.attached, error))
    return roots


def _paired(passes: list[Pass], traces: list[Trace]) -> zip[tuple[Pass, Trace]]:
    return zip(passes, traces, strict=True)
