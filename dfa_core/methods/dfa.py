"""Direct Feedback Alignment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dfa_core.distributed.wrappers import spread
from dfa_core.errors import FeedbackError, check_finite
from dfa_core.families.error_feedback import ErrorFeedback
from dfa_core.families.feedback_method import FeedbackMethod
from dfa_core.feedback import FeedbackMatrices
from dfa_core.information import Information
from dfa_core.layout import module_key
from dfa_core.noise import Noise
from dfa_core.recording.passes import Pass
from dfa_core.recording.step import Signals
from dfa_core.registry import register

ERRORS = ("exact", "sign", "ternary")
_MOST_BITS = 16


def quantised(error: Tensor, kind: str, threshold: float) -> Tensor:
    """The error ``(*batch, error)`` with few levels, each sample of the length it had.

        sign     sign(e)
        ternary  sign(e) where |e| is more than ``threshold`` of the batch's largest |e|, else 0

    (Launay et al. 2020, arXiv:2006.01475: an optical co-processor takes such inputs.) A sample without error, or whose
    entries all lie below the threshold, stays zero.
    """
    if kind == "exact" or not error.numel():
        return error
    levels = error.sign()
    if kind == "ternary":
        levels = torch.where(error.abs() > threshold * error.abs().max(), levels, 0)
    length = levels.norm(dim=-1, keepdim=True)
    return levels * torch.where(length > 0, error.norm(dim=-1, keepdim=True) / length.clamp(min=1), 0)


def levelled(projection: Tensor, bits: int) -> Tensor:
    """The projection in 2^bits − 1 levels, evenly spaced from −m to m with m its largest absolute entry."""
    if not projection.numel():
        return projection
    largest = projection.abs().max()
    steps = 2 ** (bits - 1) - 1  # on either side of zero
    return torch.where(largest > 0, (projection / largest * steps).round() * (largest / steps), projection)


def _deviation(entries: Tensor) -> Tensor | float:
    """The standard deviation of all entries: of a single one 0, where PyTorch's is NaN."""
    return entries.std() if entries.numel() > 1 else 0.0


@register("dfa", colour="#D55E00", order=10, standard=True)
class DFA(ErrorFeedback):
    """Direct Feedback Alignment (Nøkland 2016): the signal at h_i is B_i e, with B_i fixed and random.

    Args:
        model: see :class:`Method`.
        feedback_seed: with the name of a point (or tap) it determines the matrix.
        feedback: distribution of the matrices, see :class:`FeedbackMatrices`.
        scaling: how they are scaled with the widths, see :class:`FeedbackMatrices`.
        scale: a further factor on all of them.
        rank: of the matrices, with one factor common to all points, see :class:`FeedbackMatrices`; 0: full.
        density: share of a matrix that is not zero, see :class:`FeedbackMatrices`.
        error: what of e is sent: exact, sign or ternary; see :func:`quantised`.
        threshold: of ternary, as a share of the largest entry of a batch's error.
        center: send e minus its mean over the samples, so that no drive common to all saturates the units.
        noise: deviation of Gaussian noise on B_i e, relative to that of its entries in the batch.
        bits: of the number that each entry of B_i e is read as, 2 or more; 0: as it is. An optical co-processor has
            both (arXiv:2006.01475).
        recompute: see :class:`~dfa_core.families.error_feedback.ErrorFeedback`.
    """

    information = Information(
        family="signals",
        exact="within a segment, and above the tap",
        replaced="the path from tap to point, by a random matrix",
        transports="none between segments",
        labels="loss",
        space="the error at the output",
        time="as soon as the error is known, all at once",
        passes="1 forward, 1 local",
        products="F + W + B e",
        memory="all activations; recomputing: one segment",
    )

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
        rank: int = 0,
        density: float = 1.0,
        error: str = "exact",
        threshold: float = 0.1,
        center: bool = False,
        noise: float = 0.0,
        bits: int = 0,
        recompute: bool = False,
    ) -> None:
        super().__init__(model, feedback_seed=feedback_seed, recompute=recompute)
        if error not in ERRORS:
            raise FeedbackError(f"unknown error '{error}': choose one of {', '.join(ERRORS)}")
        check_finite(threshold=threshold, noise=noise, bits=bits)
        if noise < 0 or bits not in (0, *range(2, _MOST_BITS + 1)):
            raise FeedbackError(f"noise={noise}, bits={bits}: noise must be 0 or more, bits 0 or 2 to {_MOST_BITS}")
        if not 0 <= threshold < 1:  # at 1 nothing would be sent
            raise FeedbackError(f"threshold={threshold}: must be 0 or more, and below 1")
        self.error, self.threshold, self.center = error, threshold, center
        self.noise, self.bits = noise, bits
        if noise:
            self.drawn = Noise(feedback_seed)
        self._check_not_spread()
        self.feedback = nn.ModuleDict()
        for tap, mark in self.layout.taps.items():
            self.feedback[module_key(tap)] = FeedbackMatrices(
                tap,
                mark.width,
                {name: point.width for name, point in self.layout.points_of(tap).items()},
                feedback_seed=feedback_seed,
                kind=feedback,
                scaling=scaling,
                scale=scale,
                rank=rank,
                density=density,
            )
        if (parameter := next(model.parameters(), None)) is not None:
            self.to(parameter.device)

    def matrix(self, point: str) -> Tensor:
        """B_iᵀ of a feedback point as a view ``(error, width)``."""
        return self._matrices(self.layout.tap_of[point]).matrix(point)

    def unscaled(self, point: str) -> Tensor:
        """B_iᵀ of a feedback point as it was drawn, before ``scaling`` and ``scale``: a copy ``(error, width)``."""
        return self._matrices(self.layout.tap_of[point]).unscaled(point)

    def signals(self, forward_pass: Pass) -> Signals:
        """B_i e for each point that ran, shaped as its activation (Nøkland 2016, equation 7)."""
        self._check_not_spread()
        tap = self.layout.taps[forward_pass.tap]
        batch = forward_pass.error.shape[: tap.batch_dims]
        projected = self._matrices(forward_pass.tap)(self._sent(forward_pass.error.reshape(*batch, tap.width)))
        if self.noise or self.bits:
            projected = self._read(projected, f"{forward_pass.tap}/{forward_pass.nth}")
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

    def _sent(self, error: Tensor) -> Tensor:
        """The part of the error ``(*batch, error)`` that is sent."""
        if self.center:
            error = error - error.flatten(0, -2).mean(0)
        return quantised(error, self.error, self.threshold)

    def _read(self, projected: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        """The projections as an instrument reads them. Points that share one have one reading."""
        readings: dict[int, Tensor] = {}
        for point, exact in projected.items():
            if id(exact) not in readings:
                read = exact
                if self.noise:
                    read = read + self.noise * _deviation(exact) * self.drawn.normal_like(f"{name}/{point}", exact)
                readings[id(exact)] = levelled(read, self.bits) if self.bits else read
        return {point: readings[id(exact)] for point, exact in projected.items()}

    def _check_not_spread(self) -> None:
        """Raise :class:`FeedbackError` if a part of a batch would be taken for the whole of it."""
        if spread() and (self.center or self.error == "ternary" or self.noise or self.bits):
            raise FeedbackError(
                "center, error=ternary, noise and bits read the errors of a whole batch, of which each of several "
                "processes has a part: use one process, or leave them out"
            )

    def advance(self) -> None:
        if self.noise:
            self.drawn.advance()

    def _matrices(self, tap: str) -> FeedbackMatrices:
        matrices = self.feedback[module_key(tap)]
        assert isinstance(matrices, FeedbackMatrices)
        return matrices
