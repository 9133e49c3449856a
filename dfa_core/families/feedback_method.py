"""Methods that cut the graph at the feedback points and send a signal to each (family a)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dfa_core.distributed.wrappers import Wrappers, spread
from dfa_core.errors import FeedbackError
from dfa_core.families.hooked import hooks_afterwards
from dfa_core.families.repeated import leaves_of
from dfa_core.families.replay import check_replayable
from dfa_core.families.rewind import Rewind
from dfa_core.method import Method
from dfa_core.recording.passes import Pass
from dfa_core.recording.recorder import Recorder
from dfa_core.recording.step import Signals, check_scalar, feedback_step
from dfa_core.supervision import Supervision

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepContext:
    """The means of the step in progress.

    Attributes:
        closure: runs the forward pass again.
        supervision: what the task offers besides the loss.
        rewind: what the first pass started from, for methods that run others, or the task's head.
        learning: whether the method's own parameters get gradients too; not while its alignment is measured.
        leaves: the leaf tensors above the taps, once the loss is known, of a step that runs the closure again or the
            task's head.
        pure_heads: the taps whose heads neither draw random numbers nor change buffers.
    """

    closure: Callable[[], Tensor]
    supervision: Supervision
    rewind: Rewind | None
    learning: bool
    leaves: list[Tensor] = field(default_factory=list)
    pure_heads: set[str] = field(default_factory=set)

    @contextmanager
    def around_head(self, tap: str) -> Iterator[None]:
        """A block that runs the task's head at ``tap``, from the random numbers and buffers that the step began with.

        It leaves them alone. So dropout and batch norm above the tap are the same whenever in the step a point has its
        turn. A head that has neither, as its first run in the step tells, runs without this.
        """
        assert self.rewind is not None
        if tap in self.pure_heads:
            yield
            return
        with self.rewind.again():
            yield
            if not self.rewind.moved():
                self.pure_heads.add(tap)


class FeedbackMethod(Method):
    """Base of all methods that cut the graph at the feedback points and send a signal to each.

    A subclass defines :meth:`signal` for one point, or :meth:`signals` for all points of a pass at once.
    :mod:`dfa_core.recording.step` says what a step does.

    Raises:
        FeedbackError: the model has no feedback point, or an error tap serves none: it would be trained by backprop.
    """

    recorder: Recorder
    #: Whether it defines signals, which can be compared with backprop's gradients point by point.
    sends_signals = True

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.layout.check_points(type(self).__name__)
        self._wrappers = Wrappers(model)
        self.recorder = Recorder(self.layout.tap_of)
        self.layout.attach(self.recorder)
        self._context: StepContext | None = None
        if "replay" in self.needs:
            check_replayable(model, type(self).__name__)

    @property
    def context(self) -> StepContext:
        """The means of the step in progress.

        Raises:
            FeedbackError: there is no step in progress, only a call of :meth:`backward`.
        """
        if self._context is None:
            raise FeedbackError(f"{type(self).__name__} needs method.step(closure) in place of method.backward(loss)")
        return self._context

    @property
    def compares_passes(self) -> bool:
        """Whether it needs all passes of a step at once, to compare them with those of another run of the closure."""
        return "replay" in self.needs

    @property
    def learning(self) -> bool:
        """Whether the method's own parameters get gradients."""
        return self._context is None or self._context.learning

    @contextmanager
    def in_step(
        self, closure: Callable[[], Tensor], supervision: Supervision | None, learning: bool = True
    ) -> Iterator[None]:
        """Set `context` to what the step may use, inside the block."""
        rewind = Rewind(self.model) if self.needs & {"replay", "heads"} else None
        self._context = StepContext(closure, supervision or Supervision(), rewind, learning)
        try:
            yield
        finally:
            self._context = None

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        with self.in_step(closure, supervision):
            with self.recorder.whole_passes():
                loss = closure()
            self.backward(loss)
            return loss.detach()

    def signal(self, point: str, activation: Tensor, error: Tensor) -> Tensor | None:
        """The update signal that stands in for dL/dh_i.

        Args:
            point: name of the feedback point.
            activation: h_i, ``(*batch, *features)``; not to be changed.
            error: e = dL/d(output) at the point's tap, ``(*batch, *error features)``.

        Returns:
            A tensor of the activation's shape, or ``None`` for no update.
        """
        raise FeedbackError(f"{type(self).__name__} defines neither signal nor signals: define one of them")

    def signals(self, forward_pass: Pass) -> Signals:
        """The update signals of all points that ran in ``forward_pass``, by name."""
        error = forward_pass.error
        return {name: self.signal(name, activation, error) for name, activation in forward_pass.activations.items()}

    def backward(self, loss: Tensor) -> None:
        if self.needs and self._context is None:
            super().backward(loss)  # says what to call instead
        self.layout.check_attached(self.model, self.recorder)
        if spread():
            self._wrappers = Wrappers(self.model)  # they may have come after the method
        all_at_once = type(self).__name__ if self.compares_passes else ""
        if self._context is not None and self.needs & {"replay", "heads"}:
            check_scalar(loss)
            self._context.leaves.extend(leaves_of(loss))
        # Signals that a head makes come after the gradients above the taps, with which a hook could move its weights.
        with hooks_afterwards(self._context.leaves) if "heads" in self.needs and self._context else nullcontext():
            feedback_step(loss, self.recorder, self.signals_of, self._wrappers, all_at_once)
        self._report_untrained()

    def _report_untrained(self) -> None:
        if not self._reported and (idle := [name for name in self.layout.points if name not in self.recorder.seen]):
            log.warning(
                "%s trains through feedback points that did not run in the first step: %s",
                type(self).__name__,
                ", ".join(idle),
            )
        super()._report_untrained()

    @torch.no_grad()
    def signals_of(self, passes: Sequence[Pass]) -> list[Signals]:
        """The signals of each pass; the passes' errors are known."""
        return [self.signals(forward_pass) for forward_pass in passes]

    def reset(self) -> None:
        self.recorder.clear()
