"""Zeroth-order optimisation: two forward passes, one random direction over all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dfa_core.errors import check_positive
from dfa_core.families.replay import check_replayable
from dfa_core.families.rewind import Rewind
from dfa_core.information import Information
from dfa_core.method import Method
from dfa_core.noise import Noise
from dfa_core.recording.step import check_scalar
from dfa_core.registry import register
from dfa_core.supervision import Supervision


@register("mezo", title="MeZO", colour="#117733", order=110, needs=("replay",))
class MeZO(Method):
    """Simultaneous perturbation with a seed in place of the direction (Malladi et al. 2023, arXiv:2305.17333).

        g = (L(θ + ε z) − L(θ − ε z)) / (2 ε) · z        z ~ N(0, I) over all trainable parameters

    No graph is made: a step has the memory of inference, one gradient and a copy of the weights. Both passes see the
    same dropout masks and samples. The noise is drawn anew from its seed wherever it is needed, and never kept.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        epsilon: ε, the size of the step to either side.
    """

    information = Information(
        family="several passes",
        exact="the derivative along the guess, in the mean everything",
        replaced="the direction, by noise over all weights",
        transports="none",
        labels="loss",
        space="one number",
        time="after the second forward pass, all at once",
        passes="2 forward",
        products="2 F",
        memory="that of inference, and a copy of the weights",
    )

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, epsilon: float = 1e-3) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        check_replayable(model, type(self).__name__)
        check_positive("epsilon", epsilon)
        self.epsilon = epsilon
        self.noise = Noise(feedback_seed)

    def advance(self) -> None:
        self.noise.advance()

    @torch.no_grad()
    def gradients(self, closure: Callable[[], Tensor], supervision: Supervision | None) -> Tensor:
        self.layout.check_attached(self.model, None)
        self._check_initialised()
        parameters = self.trainable_parameters()
        rewind = Rewind(self.model)
        with rewind.again(), self._moved(parameters, self.epsilon):
            above = closure()
        check_scalar(above)
        with self._moved(parameters, -self.epsilon):
            below = closure()
        slope = (above - below) / (2 * self.epsilon)
        for name, p in parameters.items():
            gradient = slope * self.noise.normal_like(name, p)
            p.grad = gradient if p.grad is None else p.grad + gradient
        return (above + below) / 2

    @contextmanager
    def _moved(self, parameters: dict[str, nn.Parameter], by: float) -> Iterator[None]:
        """Move every parameter along z inside the block; restore it afterwards, to the last bit."""
        before = {name: p.clone() for name, p in parameters.items()}
        try:
            for name, p in parameters.items():
                p.add_(self.noise.normal_like(name, p), alpha=by)
            _forget_what_weights_gave()
            yield
        finally:
            for name, p in parameters.items():
                p.copy_(before[name])
            _forget_what_weights_gave()


def _forget_what_weights_gave() -> None:
    """Empty the caches of values computed from weights: autocast's copies in bf16, and those of parametrizations.

    A context around the whole step would else hand the weights of one pass to the next one.
    """
    torch.clear_autocast_cache()
    parametrize._cache.clear()
