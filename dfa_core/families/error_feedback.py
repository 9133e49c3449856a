"""Methods whose signals follow from the error alone: they can do without the activations of a whole pass.

The usual step keeps every activation until the error is known. Where a signal needs no activation, two forward passes
do instead. The first keeps nothing but what lies above the taps, and gives the error. The second goes backward from
each point as soon as it stands there, so that no more than one segment is in memory. No product of backprop's backward
pass through the layers is added: two forward passes and the weights' gradients are 2 F + W, backprop's F + X + W.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.hooked import HookedParameters, parameters_now_in
from dfa_core.families.repeated import GradientsSoFar, leaves_of, other_run
from dfa_core.families.replay import check_replayable
from dfa_core.families.rewind import Rewind
from dfa_core.layout import Layout
from dfa_core.recording.graph import chained_error, reached
from dfa_core.recording.passes import Pass, Visited
from dfa_core.recording.step import check_scalar, check_signals, no_tap_error
from dfa_core.supervision import Supervision


class ErrorFeedback(FeedbackMethod):
    """Base: :meth:`signals` reads the errors of a pass, and of its activations the shapes alone.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        recompute: run each segment twice and keep one of them in memory at a time. The gradients are the same.
    """

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, recompute: bool = False) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.recompute = recompute
        self.compiles = not recompute
        if recompute:
            check_replayable(model, f"{type(self).__name__}(recompute=True)")

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        if not self.recompute:
            return super().gradients(closure, supervision)
        self.layout.check_attached(self.model, self.recorder)
        check_replayable(self.model, f"{type(self).__name__}(recompute=True)")  # wrappers may have come since
        with self.in_step(closure, supervision):
            loss = self._in_two_passes(closure)
        self._report_untrained()
        return loss

    def backward(self, loss: Tensor) -> None:
        if self.recompute and self._context is None:
            raise FeedbackError(
                f"{type(self).__name__}(recompute=True) runs the forward pass itself: call method.step(closure), with "
                "a closure that runs the model and returns the loss, in place of method.backward(loss)"
            )
        super().backward(loss)

    def _in_two_passes(self, closure: Callable[[], Tensor]) -> Tensor:
        rewind = Rewind(self.model)
        hooked = HookedParameters(self.model, f"use {type(self).__name__}(recompute=False)")
        first = _Errors(self.layout)
        with self.layout.lent(first):
            loss = closure()
        check_scalar(loss)
        rewind.check_frozen()
        if loss.requires_grad:
            hooked.check(loss, "above the taps")
            torch.autograd.backward(loss)
        signals = self._signals_by_visit(first.passes())
        self.recorder.seen |= {at.point for at in signals} | {at.tap for at in signals}
        so_far = GradientsSoFar([*parameters_now_in(self.model), *leaves_of(loss)])
        second = _Segments(self.layout, signals, first.visits, so_far, hooked)
        try:
            with self.layout.lent(second), rewind.again(), torch.enable_grad():
                closure()
        except _Finished:
            return loss.detach()
        raise other_run(second.missed)

    @torch.no_grad()
    def _signals_by_visit(self, passes: dict[tuple[str, int], Pass]) -> dict[Visited, Tensor]:
        """The signal of every point, and the error of every tap, by the visit."""
        found: dict[Visited, Tensor] = {}
        for (place, one), sent in zip(passes.items(), self.signals_of([*passes.values()]), strict=True):
            check_signals(one, sent)
            found |= {Visited(*place, point): signal for point, signal in sent.items() if signal is not None}
            found[Visited(*place, one.tap)] = one.error
        return found


@dataclass(eq=False)
class _Tapped:
    """A pass of which no activation is kept: what its tap passes on gathers the error.

    Attributes:
        nth: how many passes through this tap ran before it, those included that the loss does not depend on.
    """

    tap: str
    nth: int
    leaf: Tensor
    shapes: dict[str, Tensor] = field(default_factory=dict)


class _Errors:
    """Marks of the first pass: everything is cut, and freed as the pass goes on."""

    without_grad = False

    def __init__(self, layout: Layout) -> None:
        self._tap_of = layout.tap_of
        self._open: dict[str, dict[str, Tensor]] = {}
        self._tapped: list[_Tapped] = []
        self._ran: Counter[str] = Counter()
        self.visits: list[tuple[str, torch.Size]] = []  # the marks in the order they ran, with what they were given

    def at_point(self, name: str, x: Tensor) -> Tensor:
        _check_eager(name)
        self._check_apart(self._tap_of[name], x)
        shapes = self._open.setdefault(self._tap_of[name], {})
        if name in shapes:
            raise FeedbackError(
                f"feedback point '{name}' ran twice in one pass, before error tap '{self._tap_of[name]}' ran: give "
                "each use of a shared layer its own FeedbackPoint"
            )
        shapes[name] = x.new_empty(x.shape, device="meta")
        self.visits.append((name, x.shape))
        return x.detach()

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        _check_eager(name)
        self._check_apart(name, x)
        leaf = x.detach().requires_grad_()
        self._tapped.append(_Tapped(name, self._ran[name], leaf, self._open.pop(name, {})))
        self._ran[name] += 1
        self.visits.append((name, x.shape))
        return leaf.clone()  # so that what follows may change it in place

    def _check_apart(self, tap: str, x: Tensor) -> None:
        """A part of the error of a pass that another reads would come back through a segment that is freed by then."""
        if not self._tapped or x.grad_fn is None:
            return
        _, leaves = reached([x])
        for earlier in self._tapped:
            if id(earlier.leaf) in leaves:
                raise chained_error(tap, earlier.tap, "which recompute=True cannot put together")

    def passes(self) -> dict[tuple[str, int], Pass]:
        """The passes whose error is known: those that the loss depends on; by tap and number among all passes.

        Raises:
            FeedbackError: there is none.
        """
        if self._open:
            point = next(iter(next(iter(self._open.values()))))
            raise FeedbackError(
                f"its error tap never ran after feedback point '{point}': pass the output that the loss is computed "
                "from through the tap"
            )
        found: dict[tuple[str, int], Pass] = {}
        for tapped in self._tapped:
            if tapped.leaf.grad is not None:
                nth = sum(tap == tapped.tap for tap, _ in found)
                one = Pass(tapped.tap, nth, tapped.shapes, tapped.leaf.detach())
                one.error, tapped.leaf.grad = tapped.leaf.grad, None
                found[tapped.tap, tapped.nth] = one
        if not found:
            raise no_tap_error()
        return found


class _Segments:
    """Marks of the second pass: each goes backward to the cuts below it while the pass stands there.

    Args:
        visits: the marks of the first pass, in their order.
        so_far: the gradients of the first pass, from above the taps.
    """

    without_grad = False

    def __init__(
        self,
        layout: Layout,
        signals: Mapping[Visited, Tensor],
        visits: list[tuple[str, torch.Size]],
        so_far: GradientsSoFar,
        hooked: HookedParameters,
    ) -> None:
        self._tap_of, self._signals = layout.tap_of, signals
        self._visits, self._next = visits, 0
        self._so_far, self._hooked = so_far, hooked
        self._ran: Counter[str] = Counter()

    @property
    def missed(self) -> str:
        """The next mark that the first pass went through."""
        return self._visits[self._next][0]

    def at_point(self, name: str, x: Tensor) -> Tensor:
        self._arrive(name, x)
        self._send(Visited(self._tap_of[name], self._ran[self._tap_of[name]], name), x)
        return x.detach()

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        self._arrive(name, x)
        self._send(Visited(name, self._ran[name], name), x)
        self._ran[name] += 1
        if self._next == len(self._visits):
            raise _Finished  # what lies above got its gradient in the first pass
        return x.detach()

    def _arrive(self, name: str, x: Tensor) -> None:
        _check_eager(name)
        if self._next == 0:
            self._so_far.check()  # before the segments add to them
        if self._visits[self._next : self._next + 1] != [(name, x.shape)]:
            raise other_run(name)
        self._next += 1

    def _send(self, at: Visited, x: Tensor) -> None:
        if x.requires_grad and at in self._signals:
            self._hooked.check(x, at)
            # Kept, since other segments may share a part of it (an embedding); the rest is freed with its last tensor.
            torch.autograd.backward(x, self._signals[at].to(x.dtype), retain_graph=True)


class _Finished(BaseException):
    """The second pass stands at its last tap. Not an Exception, which a closure may catch."""


def _check_eager(mark: str) -> None:
    if torch.compiler.is_compiling() or torch._C._current_graph_task_id() != -1:
        raise FeedbackError(
            f"'{mark}' is compiled, or ran again in a backward pass: use recompute=False with torch.compile and with "
            "activation checkpointing"
        )
