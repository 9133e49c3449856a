"""Angles between gradients, and what else is measured of a feedback point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: A reference gradient shorter than this, for the sum of the samples' losses, is rounding: its cosines are void.
SMALLEST_REFERENCE = 1e-7


@dataclass(frozen=True)
class PointStatistics:
    """Figures beside the cosines of one feedback point.

    Attributes:
        activation: root mean square of h's entries. Over depth it shows whether the activity grows.
        reference: mean over samples of ‖dL/dh‖, L being the sum of the samples' losses.
        effective_rank: (Σ λ)² / Σ λ² over the eigenvalues λ of Σ_s δ_s δ_sᵀ: 1 if all signals are parallel.
        sign_agreement: share of entries in which signal and dL/dh have one sign, of those where neither is zero.
        void: whether the reference is too small for its direction to mean anything, or not finite.
    """

    activation: float
    reference: float
    effective_rank: float
    sign_agreement: float
    void: bool


def point_statistics(activation: Tensor, true: Tensor, signal: Tensor, width: int) -> PointStatistics:
    """The statistics of one point's ``activation``, dL/dh and signal, ``(*batch, *features)`` each."""
    h, g, s = (t.detach().float().reshape(-1, width) for t in (activation, true, signal))
    lengths = g.double().norm(dim=1)  # in fp32 the squares of a diverging training's gradients overflow
    reference = float(lengths.sum())  # n times the mean length, since the loss is the mean of n samples' losses
    both = (g != 0) & (s != 0)
    agree = ((g.sign() == s.sign()) & both).sum().item() / max(int(both.sum()), 1)
    size = float(h.double().square().mean().sqrt())
    void = not SMALLEST_REFERENCE <= reference < math.inf
    return PointStatistics(size, reference, effective_rank(s), agree, void)


def effective_rank(rows: Tensor) -> float:
    """(Σ λ)² / Σ λ² of the second moments of ``rows (n, width)``; 0 where all rows are zero."""
    largest = rows.abs().max()
    if not largest > 0:
        return 0.0
    rows = (rows / largest).double()
    moments = rows.T @ rows if rows.shape[1] <= rows.shape[0] else rows @ rows.T
    return float(moments.trace().square() / moments.square().sum())


def cosine(a: Tensor, b: Tensor) -> float | None:
    """The cosine of two gradients; None where one is zero."""
    return angle(sums(a.float(), b.float()))


def sums(a: Tensor, b: Tensor) -> Tensor:
    """(a·b, a·a, b·b) in fp64, in which the squares of fp32 numbers neither vanish nor overflow."""
    a, b = a.double(), b.double()
    return torch.stack([(a * b).sum(), (a * a).sum(), (b * b).sum()])


def angle(summed: Tensor) -> float | None:
    """The cosine from the sums (a·b, a·a, b·b); None where a or b is zero."""
    inner, a, b = summed.tolist()
    return inner / math.sqrt(a * b) if a * b > 0 else None


def row_cosines(a: Tensor, b: Tensor, width: int) -> Tensor:
    """Cosine of each row of ``width`` entries; rows that are zero in ``a`` or ``b`` are left out."""
    a, b = (_scaled_rows(t.detach().float().reshape(-1, width)) for t in (a, b))
    lengths = a.norm(dim=1) * b.norm(dim=1)
    defined = lengths > 0
    cosines: Tensor = (a * b).sum(1)[defined] / lengths[defined]
    return cosines.clamp(-1, 1).cpu()  # rounding alone is cut off


def _scaled_rows(rows: Tensor) -> Tensor:
    """The rows, each divided by its largest entry: the squares of small gradients would vanish in fp32."""
    largest = rows.abs().amax(1, keepdim=True)
    least = torch.finfo(rows.dtype).tiny
    return torch.where(largest >= least, rows / largest.clamp(min=least), 0)
