"""Direct feedback that is learned: one matrix per point, a parameter of the method."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dfa_core.distributed.wrappers import spread
from dfa_core.errors import FeedbackError, check_finite
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.feedback import FeedbackMatrices
from dfa_core.layout import module_key


class LearnedFeedback(FeedbackMethod):
    """Base: the signal at h_i is B_iᵀ e, and the matrices B_i ``(error, width)`` get gradients of their own.

    B_i follows a map from the point to the error, a readout or a Jacobian; `dfa`'s B_i is what the transpose is here.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`.
        initial: the matrices at the start: "zero", or a distribution as of `dfa` (``shared_uniform``, …).
        scale: a factor on them, if they are drawn.
        lr, decay: learning rate and weight decay of the matrices.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        initial: str = "zero",
        scale: float = 1.0,
        lr: float = 1e-4,
        decay: float = 0.0,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        self._check_materialised()
        if spread():
            raise FeedbackError("learned feedback is a parameter that nothing keeps equal between processes")
        check_finite(lr=lr, decay=decay)
        self.lr, self.decay = lr, decay
        self.feedback = nn.ParameterDict()
        for tap, mark in self.layout.taps.items():
            widths = {name: point.width for name, point in self.layout.points_of(tap).items()}
            kind = "shared_uniform" if initial == "zero" else initial
            drawn = FeedbackMatrices(tap, mark.width, widths, feedback_seed=feedback_seed, kind=kind, scale=scale)
            for name in widths:
                matrix = drawn.matrix(name).clone()
                self.feedback[module_key(name)] = nn.Parameter(matrix.zero_() if initial == "zero" else matrix)
        if (parameter := next(model.parameters(), None)) is not None:
            self.to(parameter.device)

    def matrix(self, point: str) -> Tensor:
        """B_i, ``(error, width)``."""
        matrix: Tensor = self.feedback[module_key(point)]
        return matrix

    def signal(self, point: str, activation: Tensor, error: Tensor) -> Tensor:
        rows, _ = self.flat(point, activation, error)
        return (rows @ self.matrix(point).to(rows.dtype)).reshape(activation.shape)

    def flat(self, point: str, activation: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Errors ``(samples, error)`` and activations ``(samples, width)``, which belong together row by row."""
        mark, tap = self.layout.points[point], self.layout.taps[self.layout.tap_of[point]]
        if activation.shape[: mark.batch_dims] != error.shape[: tap.batch_dims]:
            raise FeedbackError(
                f"feedback point '{point}' has batch shape {tuple(activation.shape[: mark.batch_dims])}, its error tap "
                f"{tuple(error.shape[: tap.batch_dims])}: declare batch_dims so that both count the same samples"
            )
        return error.reshape(-1, tap.width), activation.reshape(-1, mark.width)

    def learn(self, point: str, gradient: Tensor) -> None:
        """Add to the gradient of B_i, ``(error, width)``; nothing happens while alignment is measured."""
        if self.learning:
            matrix = self.feedback[module_key(point)]
            gradient = gradient.to(matrix.dtype)
            matrix.grad = gradient if matrix.grad is None else matrix.grad + gradient

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.feedback.parameters()), "lr": self.lr, "weight_decay": self.decay}]
