"""Structural feedback: the error takes the network's fixed linear parts, and random matrices the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dfa_core.errors import FeedbackError, UnsuitableError, check_finite
from dfa_core.families.error_feedback import ErrorFeedback
from dfa_core.feedback import FeedbackMatrices
from dfa_core.information import Information
from dfa_core.layout import module_key
from dfa_core.recording.passes import Pass
from dfa_core.recording.step import Signals
from dfa_core.registry import register
from dfa_core.structure import Pooled, Residual, same_order


@register("structural", title="structural DFA", colour="#A40000", order=15)
class StructuralDFA(ErrorFeedback):
    """DFA whose feedback keeps what is fixed and linear between a point and its tap.

        residual stream     δ_i = e                           no matrix at all
        graph, filter       δ_i = Σ_k B_ik S_kᵀ e             S_k: Â, T_k(L̂), …; B_ik random, as in `dfa`
        pooling             δ_i = Sᵀ B e                      S: the mean over tokens or space; B random

    No learned weight is transported. The second line with one step over the normalised adjacency is DFA-GNN's (Zhao et
    al. 2024, arXiv:2406.02040). A model declares S_k with its feedback points (`dfa_core.structure`).

    Args:
        model, feedback_seed, feedback, scaling: see :class:`~dfa_core.DFA`.
        scale: a factor on all signals.
        recompute: see :class:`~dfa_core.families.error_feedback.ErrorFeedback`.

    Raises:
        FeedbackError: a point declares no structure.
    """

    information = Information(
        family="signals",
        exact="within a segment, above the tap, and along fixed linear maps",
        replaced="learned weights on the path, by random matrices where there are any",
        transports="none between segments",
        labels="loss",
        space="the error at the output, moved by fixed maps",
        time="as soon as the error is known, all at once",
        passes="1 forward, 1 local",
        products="F + W + B Sᵀe",
        memory="all activations; recomputing: one segment",
    )

    def __init__(
        self,
        model: nn.Module,
        *,
        feedback_seed: int = 0,
        feedback: str = "shared_uniform",
        scaling: str = "widest",
        scale: float = 1.0,
        recompute: bool = False,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed, recompute=recompute)
        check_finite(scale=scale)
        self.scale = scale
        self.feedback = nn.ModuleDict()
        for name in self.layout.points:
            tap_name = self.layout.tap_of[name]
            if (sizes := self._matrix_sizes(name)) is not None:
                sent, received = sizes
                self.feedback[module_key(name)] = FeedbackMatrices(
                    name if not feedback.startswith("shared") else tap_name,
                    sent,
                    {name: received},
                    feedback_seed=feedback_seed,
                    kind=feedback,
                    scaling=scaling,
                )
        if (parameter := next(model.parameters(), None)) is not None:
            self.to(parameter.device)

    def _matrix_sizes(self, name: str) -> tuple[int, int] | None:
        """How many numbers a point's random matrix takes and gives; None on a residual stream, which needs none."""
        point, tap = self.layout.points[name], self.layout.taps[self.layout.tap_of[name]]
        if point.structure is None:
            raise UnsuitableError(
                f"feedback point '{name}' declares no structure: construct it with structure=Residual(), "
                "Carried(adjoint) or Pooled(adjoint, width), or train by dfa, which needs none"
            )
        if isinstance(point.structure, Residual):
            if point.features != tap.features:
                raise FeedbackError(
                    f"feedback point '{name}' has features {point.features} but lies on a residual stream to a tap "
                    f"of {tap.features}: they must be equal"
                )
            return None
        if isinstance(point.structure, Pooled):
            return tap.width, point.structure.width
        return point.structure.maps * tap.width, point.width

    def signals(self, forward_pass: Pass) -> Signals:
        tap = self.layout.taps[forward_pass.tap]
        error = forward_pass.error.reshape(*forward_pass.error.shape[: tap.batch_dims], tap.width)
        if self.scale != 1:
            error = self.scale * error  # once: on a residual stream all points are sent this very tensor
        signals: dict[str, Tensor | None] = {}
        for name, activation in forward_pass.activations.items():
            sent = self._signal(name, error)
            batch = activation.shape[: self.layout.points[name].batch_dims]
            pooled = isinstance(self.layout.points[name].structure, Pooled)
            if not pooled and batch != sent.shape[:-1] and not same_order(batch, sent.shape[:-1]):
                raise FeedbackError(
                    f"feedback point '{name}' has batch shape {tuple(batch)}, its error tap {tuple(sent.shape[:-1])}: "
                    "feedback that keeps samples apart needs them in one order in both (equal dims, or neighbouring "
                    "ones flattened)"
                )
            if sent.shape.numel() != activation.shape.numel():
                raise FeedbackError(
                    f"feedback point '{name}' of shape {tuple(activation.shape)} and its error tap of shape "
                    f"{tuple(forward_pass.error.shape)} do not count the same samples"
                )
            signals[name] = sent.reshape(activation.shape)
        return signals

    def _signal(self, name: str, error: Tensor) -> Tensor:
        structure = self.layout.points[name].structure
        if structure is None or isinstance(structure, Residual):
            return error
        if isinstance(structure, Pooled):
            return structure.adjoint(self._projected(name, error))
        carried = torch.cat(structure.adjoint(error), dim=-1)  # (*batch, maps · error)
        return self._projected(name, carried)

    def _projected(self, name: str, error: Tensor) -> Tensor:
        projected: dict[str, Tensor] = self.feedback[module_key(name)](error)
        return projected[name]
