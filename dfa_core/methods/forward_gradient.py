"""Forward gradients: a guess of the direction, weighted by how much the loss changes along it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError, check_positive
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.families.local_losses import LocalLosses
from dfa_core.families.perturbation import output_changes, visits
from dfa_core.information import Information
from dfa_core.noise import Noise
from dfa_core.recording.passes import Pass, Visited
from dfa_core.recording.step import Signals
from dfa_core.registry import register

GUESSES = ("noise", "local")


@register("forward_gradient", title="forward gradient", colour="#999933", order=100, needs=("replay",))
class ForwardGradient(FeedbackMethod):
    """Activity-perturbed forward gradient (Ren et al. 2023, arXiv:2210.03310).

        δ_i = ⟨e, d⟩ v_i        d = Σ_j J_j v_j

    with one factor ⟨e, d⟩ for each sample that is independent of the others (`Mark.independent_dims`): the derivative
    of the loss along v. It is unbiased for v ~ N(0, I). Batch statistics count as constants.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        guess: noise; or local: v_i is the gradient of a local loss with a random sign for each independent sample, of
            unit length there, so that δ_i is in the mean the part of dL/dh_i along it (Fournier et al. 2023,
            arXiv:2306.06968).
        epsilon: size of the perturbation, for the finite difference.
    """

    information = Information(
        family="several passes",
        exact="the derivative along the guess, in the mean everything",
        replaced="directions, by noise or local gradients",
        transports="none between segments",
        labels="loss",
        space="the error along the change of the output",
        time="after the second forward pass, all at once",
        passes="2 forward, 1 local",
        products="2 F + W",
        memory="all activations and the noise",
    )

    def __init__(
        self, model: nn.Module, *, feedback_seed: int = 0, guess: str = "noise", epsilon: float = 1e-3
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        if guess not in GUESSES:
            raise FeedbackError(f"unknown guess '{guess}': choose one of {', '.join(GUESSES)}")
        check_positive("epsilon", epsilon)
        self.guess, self.epsilon = guess, epsilon
        self.noise = Noise(feedback_seed)
        if guess == "local":
            self._check_materialised()
        self.losses = LocalLosses(self.layout, feedback_seed) if guess == "local" else None
        if guess == "local":
            self.needs |= {"heads"}
        if (parameter := next(model.parameters(), None)) is not None:
            self.to(parameter.device)

    def advance(self) -> None:
        self.noise.advance()

    @torch.no_grad()
    def signals_of(self, passes: Sequence[Pass]) -> list[Signals]:
        directions = {at: self._direction(at, h) for at, h in visits(passes).items()}
        changes = output_changes(self, passes, directions, self.epsilon)
        signals: list[Signals] = []
        for one, change in zip(passes, changes, strict=True):
            slope = _sum_by_group(one.error * change, self._groups(one.tap))
            own = {at.point: v for at, v in directions.items() if (at.tap, at.nth) == (one.tap, one.nth)}
            signals.append({name: _spread_over(slope, v) * v for name, v in own.items()})
        return signals

    def _direction(self, at: Visited, h: Tensor) -> Tensor:
        noise_name = f"{at.nth}/{at.point}"
        if self.losses is None:
            return self.noise.normal_like(noise_name, h)
        guess = self.losses.gradient(at.point, h, self.context, self.learning)
        groups = self._groups(at.tap)
        length = _sum_by_group(guess.square(), groups).sqrt()
        sign = self.noise.normal_like(noise_name, length).sign()
        # A group without error has no direction, and no signal.
        return guess * _spread_over(torch.where(length > 0, sign / length.clamp(min=_TINY), 0), guess)

    def _groups(self, tap: str) -> int:
        """How many leading dims index groups of samples that do not depend on each other."""
        return self.layout.taps[tap].independent_dims


_TINY = 1e-30


def _sum_by_group(values: Tensor, groups: int) -> Tensor:
    """Sums over all but the first ``groups`` dims."""
    return values.flatten(groups).sum(-1) if values.dim() > groups else values


def _spread_over(by_group: Tensor, like: Tensor) -> Tensor:
    """A value a group, with further dims of size 1 to multiply ``like`` by."""
    return by_group.reshape(*by_group.shape, *(1 for _ in range(like.dim() - by_group.dim())))
