"""Chained passes: those that read what the tap of an earlier pass returned.

    T = L + Σ_i ⟨B_i e_i, h_i⟩        e_i = ∂T/∂(output) at the tap of h_i's pass

A later pass hands the earlier one's tap a gradient: that of the loss, where it reads the output above its points, and
that of its own signals, where it reads it below one. Both belong to the earlier pass's error. So the last pass takes
its turn first, and each pass has its whole error before its signals are made. Whatever was computed from an output ran
after it; therefore the order in which the taps ran, reversed, is that of the turns.

Passes that do not read each other need none of this: their errors come from the loss alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from dfa_core.distributed.wrappers import Wrappers
from dfa_core.recording.graph import ReachedTap, chained_error
from dfa_core.recording.passes import Pass
from dfa_core.recording.roots import Roots, Signals


class Turn(NamedTuple):
    """A pass that has its error, its tap, and the signals of its points."""

    tap: ReachedTap
    forward_pass: Pass
    sent: Signals


def check_chainable(taps: Sequence[ReachedTap], wrappers: Wrappers) -> None:
    """Raise :class:`FeedbackError` if a pass that reads another's output cannot go backward apart from the step."""
    for tap in taps:
        if tap.reads and (wrappers.sharded or _is_compiled(tap)):
            reason = "and the passes are compiled or sharded (fully_shard), which go backward once only"
            raise chained_error(tap.trace.tap, tap.reads[0].trace.tap, reason)


def _is_compiled(tap: ReachedTap) -> bool:
    return any(type(node).__name__ == "CompiledFunctionBackward" for node in tap.nodes())


def in_turn(
    taps: Sequence[ReachedTap], passes: Sequence[Pass], signals_of: Callable[[Sequence[Pass]], Sequence[Signals]]
) -> list[Turn]:
    """Complete the errors of ``passes``, the last one's first, and make the signals of each once.

    The gradients between passes are computed apart from the step's backward pass, which has to visit every parameter
    once. So the layers between an output that is read and the cuts above it go backward twice.

    Args:
        taps: those of the passes, in the order in which they ran.
        passes: with the errors that come from the loss alone.

    Returns:
        The passes at which an error arrives.
    """
    arrived: dict[ReachedTap, Tensor] = {}
    turns: list[Turn] = []
    for tap, one in zip(reversed(taps), reversed(passes), strict=True):
        if tap in arrived:
            one.error = one.error + arrived.pop(tap) if one.has_error else arrived.pop(tap)
        if not one.has_error:
            continue
        (sent,) = signals_of([one])
        turns.append(Turn(tap, one, sent))
        if not tap.reads:
            continue
        roots = Roots()
        roots.add_points(tap, sent)
        roots.add_tap(tap, one.error, flows_anyway=False)
        for read, gradient in zip(tap.reads, roots.gradients([read.edge for read in tap.reads]), strict=True):
            if gradient is not None:
                arrived[read] = arrived[read] + gradient if read in arrived else gradient
    return turns[::-1]
