"""The methods of this package: backprop, the shallow control, and Direct Feedback Alignment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError
from dfa_core.feedback import FeedbackMatrices
from dfa_core.method import FeedbackMethod, Method
from dfa_core.passes import Pass
from dfa_core.registry import register
from dfa_core.step import Signals


@register("bp", colour="#0072B2", order=0)
class Backprop(Method):
    """The true gradient of the whole network. The marks stay identities."""

    def backward(self, loss: Tensor) -> None:
        self.layout.check_attached(self._model[0], None)
        torch.autograd.backward(loss)
        self._report_untrained()

    def wrap(self, loss: Tensor) -> Tensor:
        return loss


@register("shallow", colour="#009E73", order=20)
class Shallow(FeedbackMethod):
    """The control: the same cuts and no feedback, so that only what lies above the last cut learns.

    The other parameters keep ``.grad`` as it was; behind a compiled region they get zeros, because one
    backward function serves the whole region. An optimizer with weight decay skips the former and
    shrinks the latter.
    """

    leaves_parameters_untrained = True

    def signals(self, forward_pass: Pass) -> Signals:
        return {}


@register("dfa", colour="#D55E00", order=10)
class DFA(FeedbackMethod):
    """Direct Feedback Alignment (Nøkland 2016): the signal at h_i is B_i e, with B_i fixed and random.

    Args:
        model: see :class:`Method`.
        feedback_seed: with the name of a point (or tap) it determines the matrix.
        feedback: distribution of the matrices, see :class:`FeedbackMatrices`.
        scaling: how they are scaled with the widths, see :class:`FeedbackMatrices`.
        scale: a further factor on all of them.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.signal is not FeedbackMethod.signal and cls.signals is DFA.signals:
            raise FeedbackError(
                f"{cls.__name__} defines signal, which DFA never calls: it projects to all points at once. Define "
                "signals(forward_pass), or derive from FeedbackMethod"
            )

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        feedback: str = "shared_uniform",
        scaling: str = "widest",
        scale: float = 1.0,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self.feedback = nn.ModuleDict()
        for tap, mark in self.layout.taps.items():
            self.feedback[_key(tap)] = FeedbackMatrices(
                tap,
                mark.width,
                {name: point.width for name, point in self.layout.points_of(tap).items()},
                feedback_seed=feedback_seed,
                kind=feedback,
                scaling=scaling,
                scale=scale,
            )
        if (parameter := next(model.parameters(), None)) is not None:
            self.to(parameter.device)

    def matrix(self, point: str) -> Tensor:
        """B_i of a feedback point as a view ``(error, width)``."""
        return self._matrices(self.layout.tap_of[point]).matrix(point)

    def signals(self, forward_pass: Pass) -> Signals:
        """B_i e for each point that ran, shaped as its activation (Nøkland 2016, equation 7)."""
        tap = self.layout.taps[forward_pass.tap]
        batch = forward_pass.error.shape[: tap.batch_dims]
        projected = self._matrices(forward_pass.tap)(forward_pass.error.reshape(*batch, tap.width))
        signals: dict[str, Tensor | None] = {}
        for name, activation in forward_pass.activations.items():
            own_batch = activation.shape[: self.layout.points[name].batch_dims]
            if own_batch != batch:
                raise FeedbackError(
                    f"feedback point '{name}' has batch shape {tuple(own_batch)}, its error tap "
                    f"'{forward_pass.tap}' has {tuple(batch)}: declare batch_dims so that both count the "
                    "same samples (a dim that the output lacks belongs to the point's features)"
                )
            signals[name] = projected[name].reshape(activation.shape)
        return signals

    def _matrices(self, tap: str) -> FeedbackMatrices:
        matrices = self.feedback[_key(tap)]
        assert isinstance(matrices, FeedbackMatrices)
        return matrices


def _key(tap: str) -> str:
    return tap.replace(".", "/")  # module names may not hold dots
