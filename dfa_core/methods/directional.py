"""Direct feedback learned from directional derivatives: one perturbed forward pass a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError, check_positive
from dfa_core.families.learned_feedback import LearnedFeedback
from dfa_core.families.perturbation import output_changes, visits
from dfa_core.information import Information
from dfa_core.noise import Noise
from dfa_core.recording.passes import Pass
from dfa_core.recording.step import Signals
from dfa_core.registry import register


def jacobian_gradient(matrix: Tensor, change: Tensor, direction: Tensor) -> Tensor:
    """The gradient of ½ ‖B − mean d vᵀ‖²: B becomes the Jacobian do/dh, since E[d vᵀ] = J."""
    return matrix - _outer_mean(change, direction)


def cosine_gradient(matrix: Tensor, change: Tensor, direction: Tensor) -> Tensor:
    """The gradient of 1 − cos(B, mean d vᵀ): B turns towards the Jacobian and keeps its size."""
    target = _outer_mean(change, direction)
    size, length = matrix.norm(), target.norm()
    if not size * length:
        return torch.zeros_like(matrix)
    cosine = (matrix * target).sum() / (size * length)
    gradient: Tensor = (cosine * matrix / size - target / length) / size
    return gradient


def inverse_gradient(matrix: Tensor, change: Tensor, direction: Tensor) -> Tensor:
    """The gradient of ½ mean ‖v − Bᵀ d‖²: Bᵀ becomes the (joint) pseudo-inverse of the Jacobian."""
    return _outer_mean(change, change @ matrix - direction)


def _outer_mean(left: Tensor, right: Tensor) -> Tensor:
    """Mean over samples of left rightᵀ."""
    mean: Tensor = left.T @ right / len(left)
    return mean


#: What the matrices learn: the gradient from B ``(error, width)``, d ``(samples, error)`` and v ``(samples, width)``.
TARGETS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "jacobian": jacobian_gradient,
    "cosine": cosine_gradient,
    "inverse": inverse_gradient,
}


@register("directional", title="directional", colour="#44AA99", order=70, needs=("replay",))
class Directional(LearnedFeedback):
    """Direct feedback from directional derivatives.

    Noise v_i ~ N(0, I) at all points and one more forward pass give d = Σ_i J_i v_i at the output. With δ_i = B_iᵀ e,

        jacobian  B_i → mean d v_iᵀ = J_i       FDFA (Bacho & Chu 2024, arXiv:2212.07282)
        cosine    B_i turns towards d v_iᵀ      the core of GrAPE (Caillon et al. 2026), without its backprop steps
        inverse   B_iᵀ → the pseudo-inverse     DDTP-linear (Meulemans et al. 2020, arXiv:2006.14331); here of all
                  of J                          points jointly, since one pass perturbs them all

    The noise is the method's own, so that the network's dropout does not depend on it.

    Args:
        model, feedback_seed, initial, scale, lr, decay: see `dfa_core.families.learned_feedback.LearnedFeedback`.
        target: what B learns.
        epsilon: size of the perturbation, for the finite difference.
    """

    information = Information(
        family="signals",
        exact="within a segment, and above the tap",
        replaced="the path from tap to point, by a matrix that learns the Jacobian from noise",
        transports="none between segments",
        labels="loss",
        space="the error and the change of the output",
        time="as soon as the error is known, all at once",
        passes="2 forward, 1 local",
        products="2 F + W + B e + d vᵀ",
        memory="all activations, the noise, and the matrices' optimizer",
    )

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        target: str = "jacobian",
        initial: str = "shared_uniform",
        scale: float = 1.0,
        lr: float = 1e-3,
        decay: float = 0.0,
        epsilon: float = 1e-3,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed, initial=initial, scale=scale, lr=lr, decay=decay)
        if target not in TARGETS:
            raise FeedbackError(f"unknown target '{target}': choose one of {', '.join(TARGETS)}")
        if target == "cosine" and initial == "zero":
            raise FeedbackError("target=cosine keeps the matrices' size, which must not be 0: choose another initial")
        check_positive("epsilon", epsilon)
        self.target, self.epsilon = target, epsilon
        self.noise = Noise(feedback_seed)

    def advance(self) -> None:
        self.noise.advance()

    def signals_of(self, passes: Sequence[Pass]) -> list[Signals]:
        signals = super().signals_of(passes)
        if self.learning:
            self._learn_from(passes)
        return signals

    @torch.no_grad()
    def _learn_from(self, passes: Sequence[Pass]) -> None:
        directions = {at: self.noise.normal_like(f"{at.nth}/{at.point}", h) for at, h in visits(passes).items()}
        changes = output_changes(self, passes, directions, self.epsilon)
        by_pass = {(one.tap, one.nth): change for one, change in zip(passes, changes, strict=True)}
        for at, direction in directions.items():
            matrix = self.matrix(at.point)
            rows = self.flat(at.point, direction, by_pass[at.tap, at.nth])
            change, moved = (part.to(matrix.dtype) for part in rows)
            if not len(change):  # no samples: nothing to learn from, and a mean of nothing
                continue
            gradient = TARGETS[self.target](matrix, change, moved)
            self.learn(at.point, self.context.supervision.scale * gradient)
