"""Direct Kolen-Pollack: direct feedback that learns what a direct readout would."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dfa_core.families.learned_feedback import LearnedFeedback
from dfa_core.information import Information
from dfa_core.recording.passes import Pass
from dfa_core.recording.step import Signals
from dfa_core.registry import register


@register("dkp", title="DKP", colour="#AA4499", order=60)
class DirectKolenPollack(LearnedFeedback):
    """Direct Kolen-Pollack (Webster et al. 2021, OpenReview zgGmAx9ZcY): B_i follows e h_iᵀ.

        δ_i = B_iᵀ e        gradient of B_i = Σ_samples e h_iᵀ        (plus decay)

    At the last hidden point below a linear readout W_o, this is W_o's own gradient, and with equal optimizers and decay
    B − W_o vanishes as in Kolen-Pollack. Elsewhere B_i becomes what a readout from h_i would be.

    Args:
        model, feedback_seed, initial, scale, lr, decay: see `dfa_core.families.learned_feedback.LearnedFeedback`.
    """

    information = Information(
        family="signals",
        exact="within a segment, and above the tap",
        replaced="the path from tap to point, by a matrix that learns what a readout would",
        transports="none between segments",
        labels="loss",
        space="the error at the output",
        time="as soon as the error is known, all at once",
        passes="1 forward, 1 local",
        products="F + W + B e + e hᵀ",
        memory="all activations, and the matrices' optimizer",
    )

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        initial: str = "zero",
        scale: float = 1.0,
        lr: float = 1e-3,
        decay: float = 1e-4,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed, initial=initial, scale=scale, lr=lr, decay=decay)

    def signals_of(self, passes: Sequence[Pass]) -> list[Signals]:
        signals = super().signals_of(passes)
        for forward_pass in passes:
            for point, activation in forward_pass.activations.items():
                self._learn_from(point, activation, forward_pass.error)
        return signals

    def _learn_from(self, point: str, activation: Tensor, error: Tensor) -> None:
        errors, activations = (rows.to(self.matrix(point).dtype) for rows in self.flat(point, activation, error))
        self.learn(point, errors.T @ activations)
