"""Local losses: every feedback point trains on the task's loss of its own guess."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dfa_core.distributed.wrappers import spread
from dfa_core.errors import FeedbackError, check_positive
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.hooked import HookedParameters
from dfa_core.families.local_losses import LocalLosses
from dfa_core.information import Information
from dfa_core.recording.graph import chained_error
from dfa_core.recording.passes import Pass
from dfa_core.recording.recorder import Recorder
from dfa_core.recording.step import Signals
from dfa_core.recording.trace import Activation
from dfa_core.registry import register


class _EagerRecorder(Recorder):
    """Lets a method go backward from a point while the forward pass stands there; nothing of it is kept.

    Attributes:
        finish: goes backward from a point; None: as usual.
        hooked: the parameters with hooks, of a step that goes backward early.
        finished: how many passes of this step went backward early.
    """

    finish: Callable[[str, Tensor], None] | None = None
    hooked: HookedParameters | None = None

    def __init__(self, tap_of: Mapping[str, str]) -> None:
        super().__init__(tap_of)
        self._begun: set[str] = set()  # the taps of passes that are not at their end yet
        self._early = ""  # the point from which a gradient goes backward early
        self.finished = 0

    @contextmanager
    def going_backward_early(self, finish: Callable[[str, Tensor], None], hooked: HookedParameters) -> Iterator[None]:
        """Let ``finish`` go backward from every point inside the block, which holds one step."""
        self.finish, self.hooked = finish, hooked
        try:
            with self.whole_passes():
                yield
        finally:
            self.finish, self.hooked, self.finished = None, None, 0
            self._begun.clear()

    def at_point(self, name: str, x: Tensor) -> Tensor:
        if self.finish is None or torch.compiler.is_compiling():  # compiled code cannot: `Local.signals_of` does
            return super().at_point(name, x)
        self._early = name
        try:
            self.finish(name, x)
        finally:
            self._early = ""
        self.collect()
        self._add(name, Activation(x.new_empty(0), root=None))
        self._begun.add(self._tap_of[name])
        return x.detach()

    def at_tap(self, name: str, x: Tensor) -> Tensor:
        if self.hooked is not None and not torch.compiler.is_compiling():
            self.hooked.check(x, _AT_THE_END)
            self.finished += name in self._begun
            self._begun.discard(name)
        return super().at_tap(name, x)

    def check_step(self, tap: str) -> None:
        if self._early:
            raise chained_error(self._tap_of[self._early], tap, "which local(eager=True) cannot put together")
        super().check_step(tap)


#: The part of a step that goes backward at its end: from the loss, and from the taps down to the last points.
_AT_THE_END = "the end"


@register("local", title="local losses", colour="#882255", order=90, needs=("heads",))
class Local(FeedbackMethod):
    """Layerwise training with decoders (Nøkland & Eidnes 2019, arXiv:1901.06656; Mono-Forward, arXiv:2501.09238).

        L_i = (1 − β) L(D_i h_i) + β L_sim        δ_i = ∂L_i/∂h_i

    D_i learns from L_i too. No error crosses a point. The layers between the last point and the tap, and what lies
    above it, get their true gradient.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        decoder: linear, or mlp with one hidden layer of the point's width.
        similarity: β; above 0 it needs the task's targets as well.
        decoder_lr: learning rate of the decoders; None: the model's.
        eager: go backward from a point as soon as it runs, so that no more than one segment is in memory. The gradients
            are the same. Compiled regions do it at the end of a step; with activation checkpointing use false.

    Raises:
        FeedbackError: (in a step, eager) a pass ran with gradients that the loss does not depend on; or a parameter
            with hooks is used in several segments.
    """

    information = Information(
        family="local losses",
        exact="within a segment, and above the last point",
        replaced="the error, by that of a decoder's own guess",
        transports="none between segments",
        labels="loss of any output",
        space="the label",
        time="as soon as the layer has run",
        passes="1 forward, 1 local",
        products="F + W + decoders",
        memory="one segment, and the decoders",
    )

    recorder: _EagerRecorder

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        decoder: str = "linear",
        similarity: float = 0.0,
        decoder_lr: float | None = None,
        eager: bool = True,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        if decoder_lr is not None:
            check_positive("decoder_lr", decoder_lr)
        self._check_materialised()
        if spread():
            raise FeedbackError("local losses have decoders, which nothing keeps equal between processes")
        self.recorder = _EagerRecorder(self.layout.tap_of)
        self.layout.attach(self.recorder)
        self.losses = LocalLosses(self.layout, feedback_seed, decoder, similarity)
        self.decoder_lr, self.eager = decoder_lr, eager
        if (parameter := next(model.parameters(), None)) is not None:
            self.to(parameter.device)

    def gradients(self, closure: Callable[[], Tensor], supervision: Any) -> Tensor:
        if not self.eager:
            return super().gradients(closure, supervision)
        hooked = HookedParameters(self.model, "use local(eager=False)")
        with self.recorder.going_backward_early(self._finish, hooked):
            return super().gradients(closure, supervision)

    def backward(self, loss: Tensor) -> None:
        if self.recorder.hooked is not None:
            self.recorder.hooked.check(loss, _AT_THE_END)
        super().backward(loss)

    def signals_of(self, passes: Sequence[Pass]) -> list[Signals]:
        read = sum(bool(one.activations) and _is_finished(one) for one in passes)
        if (unread := self.recorder.finished - read) > 0:
            raise FeedbackError(
                f"the closure ran {unread} forward pass(es) that its loss does not depend on, and local(eager=True) "
                "has trained on them already: run them under torch.no_grad(), or use eager=False; then call "
                "zero_grad(), since .grad holds what they gave"
            )
        left = iter(super().signals_of([one for one in passes if not _is_finished(one)]))
        return [{} if _is_finished(one) else next(left) for one in passes]

    def signal(self, point: str, activation: Tensor, error: Tensor) -> Tensor:
        return self.losses.gradient(point, activation, self.context, self.learning)

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups = super().parameter_groups()
        return groups if self.decoder_lr is None else [{**group, "lr": self.decoder_lr} for group in groups]

    def _finish(self, point: str, activation: Tensor) -> None:
        if torch._C._current_graph_task_id() != -1:
            raise FeedbackError(
                f"feedback point '{point}' ran again in a backward pass: use eager=False with checkpointing"
            )
        signal = self.losses.gradient(point, activation, self.context, learn=True)
        if activation.requires_grad:
            if self.recorder.hooked is not None:
                self.recorder.hooked.check(activation, object())
            # Kept, since other segments may share a part of it (an embedding); the rest is freed with its last tensor.
            torch.autograd.backward(activation, signal, retain_graph=True)


def _is_finished(one: Pass) -> bool:
    """Whether the points of a pass went backward while it ran: nothing of their activations is left."""
    return all(h.shape == (0,) for h in one.activations.values())
