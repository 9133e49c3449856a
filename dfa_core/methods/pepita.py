"""PEPITA: a second forward pass on an input that the error has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError, UnsuitableError, check_finite
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.perturbation import visits
from dfa_core.families.repeated import other_run
from dfa_core.families.replay import ChangingRecorder, sample_count
from dfa_core.information import Information
from dfa_core.noise import Seeded, seeded_generator, uniform
from dfa_core.recording.graph import Above
from dfa_core.recording.passes import Pass, Visited, passes_of
from dfa_core.recording.step import Signals, check_scalar, feedback_step, no_tap_error
from dfa_core.registry import register
from dfa_core.supervision import Supervision


@register("pepita", title="PEPITA", colour="#6699CC", order=120, needs=("replay",))
class Pepita(Seeded, FeedbackMethod):
    """Present the error to perturb the input to modulate activity (Dellaferrera & Kreiman 2022, arXiv:2201.11665).

        first pass   h_i, o, e               second pass   h_0' = h_0 − F e,  h_i'
        δ_i = h_i − h_i'                     both passes with the same dropout masks

    Weights learn in the second pass, ΔW_i ∝ δ_i h'_{i-1}ᵀ, the output layer from e. e is the error of one sample's
    loss, so the signals are divided by the number of samples that the loss is a mean of. h_0 is the deepest feedback
    point: the paper changes the input itself, which for tokens, sparse words or clicks is no tensor to add to. What
    lies below h_0 learns from F e directly. Autograd multiplies δ_i by φ'(z_i'), which the paper leaves out.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`. Each tap needs two points: with one there is nothing to
            compare.
        scale: entries of F are uniform with He's bound √(6 / fan-in) times this; the paper's is .05.
    """

    information = Information(
        family="several passes",
        exact="within a segment (of the second pass), and the output layer's error",
        replaced="the error, by the change that it causes when it is added below",
        transports="none",
        labels="loss",
        space="the error at the deepest point",
        time="while the second forward pass runs",
        passes="2 forward, 1 local",
        products="2 F + W + F e",
        memory="the points' activations of both passes",
    )

    recorder: ChangingRecorder
    sends_signals = False  # they exist only together with a changed forward pass

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, scale: float = 0.05) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        for tap in self.layout.taps:
            if len(self.layout.points_of(tap)) < 2:
                raise UnsuitableError(
                    f"Pepita compares the points above the deepest one between two passes, but error tap '{tap}' has "
                    "no second feedback point"
                )
        self.recorder = ChangingRecorder(self.layout.tap_of)
        self.layout.attach(self.recorder)
        check_finite(scale=scale)
        self.scale = scale
        self._matrices: dict[str, Tensor] = {}

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        self.layout.check_attached(self.model, self.recorder)
        with self.in_step(closure, supervision):
            rewind = self.context.rewind
            assert rewind is not None
            with rewind.again(), self.recorder.changing(None):
                loss = closure()
            check_scalar(loss)
            first = self._errors_read(loss)
            places = self.recorder.places
            shifts = {
                Visited(*places[one.tap, one.nth], deepest): self._shift(deepest, one)
                for one in first
                for deepest in [*one.activations][:1]  # none where all layers were left out
            }
            with self.recorder.changing(
                lambda at, h: h - shifts[at].reshape(h.shape).to(h.dtype) if at in shifts else h
            ):
                second_loss = closure()

            def signals_of(second: Sequence[Pass]) -> list[Signals]:
                if self.recorder.places != places:
                    raise other_run(next(iter(self.layout.taps)))
                return self._compared(first, second)

            feedback_step(second_loss, self.recorder, signals_of, self._wrappers)
        self._report_untrained()
        return loss.detach()

    def _errors_read(self, loss: Tensor) -> list[Pass]:
        """The passes of a loss with their errors; nothing is accumulated."""
        above = Above.of(loss, self.recorder)
        if not above.taps:
            raise no_tap_error()
        above.check_apart(type(self).__name__)
        passes = passes_of(tap.trace for tap in above.taps)
        with self.recorder.stepping([tap.trace for tap in above.taps]):
            found = torch.autograd.grad(loss, [tap.edge for tap in above.taps], allow_unused=True)
        for one, error in zip(passes, found, strict=True):
            one.error = error
        return passes

    @torch.no_grad()
    def _shift(self, point: str, one: Pass) -> Tensor:
        """F e of the first pass, for each sample: ``(*batch, width)``."""
        mark, tap = self.layout.points[point], self.layout.taps[one.tap]
        own_batch, batch = one.activations[point].shape[: mark.batch_dims], one.error.shape[: tap.batch_dims]
        if own_batch != batch:
            raise FeedbackError(
                f"feedback point '{point}' has batch shape {tuple(own_batch)}, its error tap {tuple(batch)}: "
                "declare batch_dims so that both count the same samples"
            )
        error = one.error * self._parts(one)
        return error.flatten(tap.batch_dims) @ self._matrix(point, error)

    def _parts(self, one: Pass) -> Tensor:
        """How many samples' losses the loss of a pass is a mean of, by the factor that the task gives it."""
        samples = sample_count(one.error, one.tap, self.layout.taps[one.tap].batch_dims, self.context.supervision)
        return samples / self.context.supervision.scale

    def _matrix(self, point: str, error: Tensor) -> Tensor:
        """F transposed, ``(error, width)``; the seed has it."""
        matrix = self._matrices.get(point)
        if matrix is None or matrix.device != error.device or matrix.dtype != error.dtype:
            width, tap = self.layout.points[point].width, self.layout.taps[self.layout.tap_of[point]].width
            drawn = uniform((tap, width), seeded_generator(self.feedback_seed, point))
            self._matrices[point] = matrix = (drawn * self.scale * (6 / width) ** 0.5).to(error)
        return matrix

    @torch.no_grad()
    def _compared(self, first: Sequence[Pass], second: Sequence[Pass]) -> list[Signals]:
        """δ_i = h_i − h_i' of the second pass, whose taps take the first pass's errors."""
        before = visits(first)
        signals: list[Signals] = []
        for one, two in zip(first, second, strict=True):
            if _shapes(one) != _shapes(two):
                raise other_run(one.tap)
            two.error = one.error
            after = visits([two])
            parts = self._parts(one)
            signals.append({at.point: (before[at] - h) / parts for at, h in after.items()})
        return signals


def _shapes(one: Pass) -> dict[str, torch.Size]:
    """The shapes of what a pass gave its marks, by their names."""
    return {one.tap: one.output.shape, **{name: h.shape for name, h in one.activations.items()}}
