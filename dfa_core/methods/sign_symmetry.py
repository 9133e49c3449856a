"""Sign-symmetric feedback: the backward weight shares the forward weight's signs, not its magnitudes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError
from dfa_core.information import Information
from dfa_core.methods.fa import RandomWeights
from dfa_core.noise import Noise
from dfa_core.registry import register

MAGNITUDES = ("unit", "fixed", "redrawn")


@register("sign_symmetry", title="sign symmetry", colour="#F0E442", order=40, like="bp")
class SignSymmetry(RandomWeights):
    """B_i has the signs of W_i, which are transported (Liao et al. 2016, arXiv:1510.05067; Xiao et al. 2018).

        unit     B = s sign(W)             uSF
        fixed    B = |R| ⊙ sign(W)         frSF, R drawn once
        redrawn  B = |R_t| ⊙ sign(W)       brSF, R_t drawn anew in each step

    s, and the root mean square of R, are the root mean square that W has at the start.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        magnitude: unit, fixed or redrawn.
    """

    information = Information(
        family="backward weights",
        exact="everything but the weights' magnitudes on the way back",
        replaced="magnitudes on the way back",
        transports="signs of all",
        labels="loss",
        space="the error through every layer above",
        time="after the backward pass has come down",
        passes="1 forward, 1 backward",
        products="F + X + W",
        memory="all activations, and a copy of the weights",
    )

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, magnitude: str = "unit") -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        if magnitude not in MAGNITUDES:
            raise FeedbackError(f"unknown magnitude '{magnitude}': choose one of {', '.join(MAGNITUDES)}")
        self.magnitude = magnitude
        self.noise = Noise(feedback_seed)

    def backward_weight(self, name: str, weight: Tensor) -> Tensor:
        return self._magnitude(name, weight) * weight.sign()

    def advance(self) -> None:
        self.noise.advance()

    def _magnitude(self, name: str, weight: Tensor) -> Tensor | float:
        if self.magnitude == "unit":
            return self.size(name)
        if self.magnitude == "fixed":
            return self.random_weight(name, weight).abs()
        generator = self.noise.generator(name, weight.device)
        return torch.rand(weight.shape, generator=generator, device=weight.device, dtype=weight.dtype) * (
            3**0.5 * self.size(name)
        )
