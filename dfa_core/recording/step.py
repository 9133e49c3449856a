"""One training step of a feedback method, in the order in which it happens.

1. The loss goes backward to the error taps. What lies above them gets its true gradient; each tap its error e.
2. The method makes the signals out of the errors.
3. From all feedback points and taps at once, the gradients go down to the next cuts.

A loss may also read activations below a tap (a KL term, a penalty on activations). Its gradient starts in the part of
the graph where step 3 runs. Then step 1 only reads the errors, and the loss goes backward together with step 3, so that
every parameter gets one gradient. The nodes above the taps run in both: a module there calls its backward hooks twice.

Where a pass reads what an earlier one's tap returned, step 2 goes from pass to pass (:mod:`dfa_core.recording.chain`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

from dfa_core.distributed.wrappers import Wrappers
from dfa_core.errors import FeedbackError
from dfa_core.recording.chain import Turn, check_chainable, in_turn
from dfa_core.recording.graph import Above, Place
from dfa_core.recording.passes import Pass, passes_of
from dfa_core.recording.recorder import Recorder
from dfa_core.recording.roots import Roots
from dfa_core.recording.roots import Signals as Signals


def feedback_step(
    loss: Tensor,
    recorder: Recorder,
    signals_of: Callable[[Sequence[Pass]], Sequence[Signals]],
    wrappers: Wrappers,
    all_at_once: str = "",
) -> None:
    """Accumulate into ``.grad`` what a feedback method gives each parameter.

    Args:
        loss: a scalar, computed by the model that ``recorder`` is attached to.
        signals_of: the signals of each pass, given the passes with their errors.
        wrappers: those of the model.
        all_at_once: name of a method that needs all passes for the signals of any; others are asked for one pass at a
            time where passes are chained.

    Raises:
        FeedbackError: the marks were used wrongly; nothing was accumulated but, at most, gradients above the taps.
    """
    above = _look_above(loss, recorder)
    if above.chained:
        if all_at_once:
            above.check_apart(all_at_once)
        check_chainable(above.taps, wrappers)
    passes = passes_of(tap.trace for tap in above.taps)
    with recorder.stepping([tap.trace for tap in above.taps]):
        together = above.meets_below() or (above.compiled and above.hooked)
        roots = _read_errors(loss, above, passes) if together else _down_to_taps(loss, above, passes)
        if together and above.compiled:
            regions = zip(passes, above.taps, strict=True)
            recorder.expect_at_regions([p.error for p, tap in regions if tap.trace.attached is None])
        _add_points_and_taps(roots, _turns(above, passes, signals_of), together)
        wrappers.before_backward(above, roots.places)
        del passes
        above.spend()  # from here on the graph alone holds activations, and frees each when its layer is done
        roots.backward()
    for tap in above.taps:
        if tap.leaf is not None:
            tap.leaf.grad = None  # the error has it already


def _add_points_and_taps(roots: Roots, turns: Sequence[Turn], together: bool) -> None:
    for tap, forward_pass, sent in turns:
        roots.add_points(tap, sent)
        roots.add_tap(tap, forward_pass.error, flows_anyway=together)


def _turns(
    above: Above, passes: Sequence[Pass], signals_of: Callable[[Sequence[Pass]], Sequence[Signals]]
) -> list[Turn]:
    """Step 2: the passes with their errors and signals."""

    def checked(some: Sequence[Pass]) -> Sequence[Signals]:
        signals = signals_of(some)
        for forward_pass, sent in zip(some, signals, strict=True):
            check_signals(forward_pass, sent)
        return signals

    if above.chained:
        return in_turn(above.taps, passes, checked)
    return [Turn(*turn) for turn in zip(above.taps, passes, checked(passes), strict=True)]


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


def check_scalar(loss: Tensor) -> None:
    """Raise :class:`FeedbackError` unless the loss is a tensor of one number."""
    if not isinstance(loss, Tensor):
        raise FeedbackError(f"the loss is a {type(loss).__name__}: a closure returns a tensor of one number, the loss")
    if loss.numel() != 1:
        raise FeedbackError(f"the loss has shape {tuple(loss.shape)}: reduce it to a scalar, by mean() or sum()")


def no_tap_error() -> FeedbackError:
    """The error about a loss that no pass through the model's taps has led to."""
    return FeedbackError(
        "the loss depends on no error tap: compute it with gradients enabled, by the model that this method was "
        "made for (a copy is not attached), from what the tap returns"
    )


def _look_above(loss: Tensor, recorder: Recorder) -> Above:
    check_scalar(loss)
    unfinished = recorder.take_unfinished()
    above = Above.of(loss, recorder)
    if unfinished:
        raise FeedbackError(
            f"its error tap never ran after feedback point '{unfinished}': pass the output that the loss is computed "
            "from through the tap; after a forward pass that ended early, call method.reset()"
        )
    if not above.taps:
        raise no_tap_error()
    return above


def _down_to_taps(loss: Tensor, above: Above, passes: Sequence[Pass]) -> Roots:
    """Step 1 where the loss reads nothing below the taps; returns what is still to be accumulated."""
    roots = Roots()
    leaves = list(above.leaves.values())
    if leaves and not above.compiled:
        torch.autograd.backward(loss)
        for forward_pass, tap in zip(passes, above.taps, strict=True):
            assert tap.leaf is not None
            forward_pass.error, tap.leaf.grad = tap.leaf.grad, None
        return roots
    # `backward` would enter a compiled region, whose one backward function is to run once, in step 3.
    found = _gradients(loss, [*(tap.edge for tap in above.taps), *leaves])
    for forward_pass, error in zip(passes, found, strict=False):
        forward_pass.error = error
    for leaf, gradient in zip(leaves, found[len(passes) :], strict=True):
        if gradient is not None:
            roots.add(leaf, gradient)
    return roots


def _read_errors(loss: Tensor, above: Above, passes: Sequence[Pass]) -> Roots:
    """Step 1 where the loss goes backward in step 3."""
    found = _gradients(loss, [tap.edge for tap in above.taps], retain_graph=True)
    for forward_pass, error in zip(passes, found, strict=True):
        forward_pass.error = error
    roots = Roots()
    roots.add(loss, None)
    return roots


def _gradients(loss: Tensor, places: Sequence[Place], retain_graph: bool = False) -> Sequence[Tensor | None]:
    inputs = cast("list[Tensor]", places)  # PyTorch's annotations know lists of tensors or of edges, but no mixture
    return torch.autograd.grad(loss, inputs, retain_graph=retain_graph, allow_unused=True)
