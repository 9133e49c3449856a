"""Direct random target projection: the label in place of the error."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError, check_finite
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.information import Information
from dfa_core.noise import Seeded, seeded_generator, uniform
from dfa_core.registry import register
from dfa_core.supervision import Classes


@register("drtp", title="DRTP", colour="#661100", order=80, needs=("targets",))
class DirectRandomTargetProjection(Seeded, FeedbackMethod):
    """Direct random target projection (Frenkel et al. 2021, arXiv:1909.01311): the signal is a row of B_i.

        δ_i = B_i y* / n

    y* is the one-hot label and n the number of labelled samples in the batch (the loss is their mean). Entries of B_i
    are uniform on ±1/√width. No error reaches a hidden layer; samples without label send nothing. As in the released
    code the signal takes the gradient's place with a plus sign, which the symmetric B_i makes arbitrary at the start.

    Args:
        model, feedback_seed: see :class:`~dfa_core.Method`; B_i is not in the state dict, which names the seed.
        scale: a factor on all B_i.
    """

    information = Information(
        family="signals",
        exact="within a segment, and above the last point",
        replaced="the error, by the label through a random matrix",
        transports="none between segments",
        labels="classes",
        space="the label",
        time="as soon as the layer has run",
        passes="1 forward, 1 local",
        products="F + W",
        memory="all activations (one segment would do)",
    )

    def __init__(self, model: nn.Module, *, feedback_seed: int = 0, scale: float = 1.0) -> None:
        super().__init__(model, feedback_seed=feedback_seed)
        check_finite(scale=scale)
        self.scale = scale
        self._matrices: dict[tuple[str, int, torch.device], Tensor] = {}

    def matrix(self, point: str, classes: int, device: torch.device | str = "cpu") -> Tensor:
        """B_iᵀ, ``(classes, width)``."""
        key = (point, classes, torch.device(device))
        if key not in self._matrices:
            width = self.layout.points[point].width
            drawn = uniform((classes, width), seeded_generator(self.feedback_seed, point))
            self._matrices[key] = (drawn * self.scale / width**0.5).to(device)
        return self._matrices[key]

    def signal(self, point: str, activation: Tensor, error: Tensor) -> Tensor:
        mark, classes = self.layout.points[point], self._classes(self.layout.tap_of[point])
        if classes.indices.shape != activation.shape[: mark.batch_dims]:
            raise FeedbackError(
                f"feedback point '{point}' has batch shape {tuple(activation.shape[: mark.batch_dims])}, the task's "
                f"targets have {tuple(classes.indices.shape)}: they must count the same samples"
            )
        labelled = classes.indices >= 0
        rows = self.matrix(point, classes.number, activation.device)[classes.indices.clamp(min=0)]
        share = self.context.supervision.scale * labelled.unsqueeze(-1) / labelled.sum().clamp(min=1)
        rows = rows * share.to(rows.dtype)
        return rows.reshape(activation.shape).to(activation.dtype)

    def _classes(self, tap: str) -> Classes:
        targets = self.context.supervision.targets
        assert targets is not None
        return targets(tap)
