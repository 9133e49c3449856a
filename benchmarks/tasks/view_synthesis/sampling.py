"""Where along its ray a field is asked: evenly first, then where the coarse field saw something.

All on the device of the inputs, without host synchronisation. Randomness is drawn from `generator`, or from PyTorch's
default one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Added to every weight, so that no interval is left unseen and the distribution exists where a ray meets nothing.
WEIGHT_FLOOR = 1e-5


def in_strata(like: Tensor, count: int, random: bool, generator: torch.Generator | None = None) -> Tensor:
    """One number in each of ``count`` equal parts of [0, 1], for each ray of ``like (rays, …)``: ``(rays, count)``.

    Uniformly drawn if random, else the middle. Ascending; device and type are those of ``like``.
    """
    rays = like.shape[0]
    steps = torch.arange(count, device=like.device, dtype=like.dtype)
    if not random:
        return ((steps + 0.5) / count).expand(rays, count)
    return (steps + torch.rand(rays, count, device=like.device, dtype=like.dtype, generator=generator)) / count


def stratified(
    like: Tensor, near: float, far: float, count: int, random: bool, generator: torch.Generator | None = None
) -> Tensor:
    """Distances t along each ray, one in each of ``count`` equal intervals of [near, far] (NeRF, equation 2).

    Returns ``(rays, count)``, ascending, for ``like (rays, …)``; the intervals' middles unless random.
    """
    return near + (far - near) * in_strata(like, count, random, generator)


def from_histogram(
    edges: Tensor, weights: Tensor, count: int, random: bool, generator: torch.Generator | None = None
) -> Tensor:
    """Distances t with the density that is constant in each bin and proportional to its weight, by inverse CDF.

    edges: (rays, bins + 1), ascending. weights: (rays, bins), not negative, of any sum. Returns ``(rays, count)``:
    independent samples if random, else ascending quantiles in the middle of `count` equal parts of the probability.
    """
    weights = weights + WEIGHT_FLOOR
    cumulative = F.pad(weights.cumsum(-1), (1, 0))  # (rays, bins + 1)
    cdf = (cumulative / cumulative[..., -1:]).contiguous()
    if random:
        u = torch.rand(len(cdf), count, device=cdf.device, dtype=cdf.dtype, generator=generator)
    else:
        u = in_strata(cdf, count, random=False).contiguous()
    above = torch.searchsorted(cdf, u, right=True).clamp_(1, weights.shape[-1])  # the edge above u
    below = above - 1
    low, high = cdf.gather(-1, below), cdf.gather(-1, above)
    left, right = edges.gather(-1, below), edges.gather(-1, above)
    return left + (right - left) * ((u - low) / (high - low)).clamp_(0, 1)


def hierarchical(
    t: Tensor, weights: Tensor, count: int, random: bool, generator: torch.Generator | None = None
) -> Tensor:
    """The coarse samples with ``count`` more where their weights are high (NeRF, section 5.2).

    t, weights: (rays, samples) of the coarse field. A bin reaches from the middle between two samples to the next one;
    the first and the last sample have none, as in NeRF's code. Returns ``(rays, samples + count)``, ascending,
    without gradient: samples are placed, not learned.
    """
    middles = 0.5 * (t[..., 1:] + t[..., :-1])  # (rays, samples - 1)
    more = from_histogram(middles, weights[..., 1:-1].detach(), count, random, generator)
    return torch.cat([t, more], dim=-1).sort(dim=-1).values
