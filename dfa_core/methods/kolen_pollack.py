"""Kolen-Pollack: backward weights that take the forward weights' own updates, so that decay makes both equal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError
from dfa_core.information import Information
from dfa_core.methods.fa import RandomWeights
from dfa_core.registry import register


@register("kolen_pollack", title="Kolen-Pollack", colour="#CC79A7", order=50, like="bp")
class KolenPollack(RandomWeights):
    """Kolen-Pollack feedback (Akrout et al. 2019, arXiv:1904.05391, equations 16 and 17).

        W ← (1 − λ) W − Δ        B ← (1 − λ) B − Δ        with the same increment Δ

    So B_t − W_t = (1 − λ)^t (B_0 − W_0), whatever optimizer makes Δ. That is how B is computed here: from W and the
    difference, which decays. The decay of W itself is part of the rule, and takes place at the end of each
    step's gradients, before the optimizer moves the weights. A weight decay of the optimizer's enters Δ.

    The state dict holds the differences. B_0 is drawn as in `fa`.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        decay: λ. Weights align within about 1/λ steps; without decay this is feedback alignment with B that follows W.
    """

    information = Information(
        family="backward weights",
        exact="everything but the weights on the way back, in the limit those too",
        replaced="each weight on the way back, by one that gets the same updates",
        transports="none; updates are shared",
        labels="loss",
        space="the error through every layer above",
        time="after the backward pass has come down",
        passes="1 forward, 1 backward",
        products="F + X + W",
        memory="all activations, and a copy of the weights",
    )

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, decay: float = 1e-3) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        if not 0 <= decay < 1:
            raise FeedbackError(f"decay={decay}: must lie in [0, 1)")
        self.decay = decay
        self._keys = {name: f"difference_{i}" for i, name in enumerate(self.weights())}
        for name, weight in self.weights().items():
            difference = self.random_weight(name, weight.detach()) - weight.detach()
            self.register_buffer(self._keys[name], difference)
        self._drawn.clear()

    def backward_weight(self, name: str, weight: Tensor) -> Tensor:
        self.check_known(name)
        difference: Tensor = getattr(self, self._keys[name])
        return weight + difference

    @torch.no_grad()
    def advance(self) -> None:
        for name, weight in self.weights().items():
            if name in self.replaced and weight.requires_grad:  # a weight that needs no B has none to follow it
                weight.mul_(1 - self.decay)
                getattr(self, self._keys[name]).mul_(1 - self.decay)
