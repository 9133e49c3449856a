"""Predictive coding: errors at the points are inferred before the weights learn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError, check_positive
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.replay import ChangingRecorder, replayed, sample_count
from dfa_core.information import Information
from dfa_core.recording.passes import Pass, Visited
from dfa_core.recording.step import Signals, check_scalar, feedback_step
from dfa_core.registry import register
from dfa_core.supervision import Supervision


@register("predictive_coding", title="predictive coding", colour="#DDCC77", order=130, needs=("replay",), like="bp")
class PredictiveCoding(FeedbackMethod):
    """Predictive coding in its error form (ePC; Goemaere et al. 2026, arXiv:2505.20137).

        E = L + ½ Σ_i ‖ε_i‖²        h_i = f_i(h_{i-1}) + ε_i        ε_i ← ε_i − γ (ε_i + dL/dh_i),  from ε_i = 0

    Then each segment learns locally from δ_i = −ε_i, with the inferred h. L is the sum of the samples' losses: a
    batch is many networks side by side. dL/dh_i is exact, so each inference step transports the forward weights.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        steps: inference steps.
        rate: γ.
        states: where the weights learn: inferred, as published, or feedforward. One step of rate 1 and feedforward
            states is backprop.
    """

    information = Information(
        family="several passes",
        exact="everything at the equilibrium of states and errors",
        replaced="errors, by those inferred in a few steps",
        transports="all, in every inference step",
        labels="loss",
        space="the errors of the layers beside",
        time="after inference, all at once",
        passes="T + 1 forward, T backward, 1 local",
        products="T (F + X) + F + W",
        memory="all activations, and errors",
    )

    recorder: ChangingRecorder
    sends_signals = False  # they exist only together with a changed forward pass

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        steps: int = 5,
        rate: float = 0.1,
        states: str = "inferred",
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        if steps < 1 or states not in ("inferred", "feedforward"):
            raise FeedbackError(
                f"steps={steps}, states='{states}': steps must be 1 or more, states inferred or feedforward"
            )
        check_positive("rate", rate)
        self.recorder = ChangingRecorder(self.layout.tap_of)
        self.layout.attach(self.recorder)
        self.steps, self.rate, self.states = steps, rate, states

    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        self.layout.check_attached(self.model, self.recorder)
        with self.in_step(closure, supervision):
            errors: dict[Visited, Tensor] = {}
            samples: dict[tuple[str, int], Tensor] = {}
            for _ in range(self.steps):
                self._infer(errors, samples)
            added = errors if self.states == "inferred" else {}
            with self.recorder.changing(lambda at, h: h + added[at] if at in added else h):
                loss = closure()

            def signals_of(passes: Sequence[Pass]) -> list[Signals]:
                return [
                    {
                        name: -errors[at] / samples[one.tap, one.nth]
                        for name in one.activations
                        if (at := Visited(one.tap, one.nth, name)) in errors
                    }
                    for one in passes
                ]

            feedback_step(loss, self.recorder, signals_of, self._wrappers)
        self._report_untrained()
        return loss.detach()

    def _infer(self, errors: dict[Visited, Tensor], samples: dict[tuple[str, int], Tensor]) -> None:
        """One inference step of all ε_i; the first one also counts the samples that the loss is a mean of."""
        leaves: dict[Visited, Tensor] = {}

        def shifted(at: Visited, x: Tensor) -> Tensor:
            leaves[at] = (errors[at] if at in errors else torch.zeros_like(x)).detach().requires_grad_()
            return x + leaves[at]

        rewind = self.context.rewind
        assert rewind is not None
        loss, outputs = replayed(self.layout, rewind, self.context.closure, shifted)
        check_scalar(loss)
        found = torch.autograd.grad(loss, [*leaves.values(), *outputs.values()], allow_unused=True)
        if not samples:
            for (key, output), error in zip(outputs.items(), found[len(leaves) :], strict=True):
                error = torch.zeros_like(output) if error is None else error
                count = sample_count(error, self.layout.taps[key[0]].batch_dims)
                samples[key] = count / self.context.supervision.scale
        for (at, leaf), gradient in zip(leaves.items(), found, strict=False):
            total = leaf.detach() if gradient is None else leaf.detach() + samples[at.tap, at.nth] * gradient
            errors[at] = leaf.detach() - self.rate * total
