"""Predictive coding: errors at the points are inferred before the weights learn from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError, check_positive
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.repeated import other_run
from dfa_core.families.replay import ChangingRecorder, replayed, sample_count
from dfa_core.information import Information
from dfa_core.recording.passes import Pass, Visited
from dfa_core.recording.step import Signals, check_scalar, feedback_step, no_tap_error
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
            inferred = _Inferred()
            for _ in range(self.steps):
                self._infer(inferred)
            errors, samples = inferred.errors, inferred.samples
            visited: set[Visited] = set()

            def state(at: Visited, h: Tensor) -> Tensor:
                visited.add(at)
                error = _error_at(at, h, errors)
                return h + error if self.states == "inferred" else h

            with self.recorder.changing(state, tied=inferred.beside):
                loss = self.recorder.tie(closure())
            _check_complete(visited, errors)

            def signals_of(passes: Sequence[Pass]) -> list[Signals]:
                places = self.recorder.places
                if unknown := [tap for tap, nth in places.values() if (tap, nth) not in samples]:
                    raise other_run(unknown[0])
                return [
                    {name: -errors[Visited(*place, name)] / samples[place] for name in one.activations}
                    for one in passes
                    for place in [places[one.tap, one.nth]]
                ]

            feedback_step(loss, self.recorder, signals_of, self._wrappers)
        self._report_untrained()
        return loss.detach()

    def _infer(self, inferred: _Inferred) -> None:
        """One inference step of all ε_i; the first one also looks at the passes."""
        errors, samples = inferred.errors, inferred.samples
        leaves: dict[Visited, Tensor] = {}
        first = not samples

        def shifted(at: Visited, x: Tensor) -> Tensor:
            error = torch.zeros_like(x) if first else _error_at(at, x, errors)
            leaves[at] = error.detach().requires_grad_()
            return x + leaves[at]

        rewind = self.context.rewind
        assert rewind is not None
        loss, outputs = replayed(self.layout, rewind, self.context.closure, shifted)
        check_scalar(loss)
        if not torch.is_grad_enabled():
            raise no_tap_error()
        found = _gradients(loss, [*leaves.values(), *outputs.values()])
        if first:
            reached = {(at.tap, at.nth) for at, g in zip(leaves, found, strict=False) if g is not None}
            for (key, output), error in zip(outputs.items(), found[len(leaves) :], strict=True):
                if error is None and key in reached:
                    inferred.beside.add(key)
                error = torch.zeros_like(output) if error is None else error
                count = sample_count(error, key[0], self.layout.taps[key[0]].batch_dims, self.context.supervision)
                samples[key] = count / self.context.supervision.scale
        else:
            _check_complete(leaves, errors)
        for (at, leaf), gradient in zip(leaves.items(), found, strict=False):
            total = leaf.detach() if gradient is None else leaf.detach() + samples[at.tap, at.nth] * gradient
            errors[at] = leaf.detach() - self.rate * total


@dataclass
class _Inferred:
    """The inference of one step.

    Attributes:
        errors: ε of every point in every pass.
        samples: how many samples the loss is a mean of, by pass.
        beside: the passes of which the loss reads activations, and not what the tap returned.
    """

    errors: dict[Visited, Tensor] = field(default_factory=dict)
    samples: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    beside: set[tuple[str, int]] = field(default_factory=set)


def _error_at(at: Visited, h: Tensor, errors: Mapping[Visited, Tensor]) -> Tensor:
    """ε of an activation, which the inference steps before have visited too."""
    if at not in errors or errors[at].shape != h.shape:
        raise other_run(at.point)
    return errors[at]


def _check_complete(visited: Collection[Visited], errors: Mapping[Visited, Tensor]) -> None:
    """Raise :class:`FeedbackError` if a run of the closure missed a point that has an ε."""
    for at in errors:
        if at not in visited:
            raise other_run(at.point)


def _gradients(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor | None]:
    """dL/dx of each input, None where there is none: a pass without points may lie above frozen layers alone."""
    learning = [x for x in inputs if x.requires_grad]
    if not (learning and loss.requires_grad):
        return [None] * len(inputs)
    found = iter(torch.autograd.grad(loss, learning, allow_unused=True))
    return [next(found) if x.requires_grad else None for x in inputs]
