"""Volume rendering (NeRF, arXiv:2003.08934, section 4): from raw samples along rays to colours.

Nothing here waits for the device, so that a step can be compiled or captured as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.view_synthesis.config import NeRFConfig, RenderOptions
from benchmarks.tasks.view_synthesis.network import RadianceField
from benchmarks.tasks.view_synthesis.sampling import hierarchical, stratified

# Length of the interval behind the last sample, as in NeRF's code: any density there makes the ray opaque.
LAST_INTERVAL = 1e10


class Rays(NamedTuple):
    """Rays r(t) = origin + t · direction, each field ``(rays, 3)``.

    views: unit vectors of the directions in the world, also where the rays themselves are in NDC.
    """

    origins: Tensor
    directions: Tensor
    views: Tensor

    def part(self, rows: slice) -> Rays:
        """Some of the rays."""
        return Rays(self.origins[rows], self.directions[rows], self.views[rows])


class Rendering(NamedTuple):
    """The picture along rays.

    rgb: (rays, 3). depth: (rays,), expected t, in which the light that met nothing counts as 0. opacity: (rays,).
    weights: (rays, samples), how much each sample adds to the colour.
    """

    rgb: Tensor
    depth: Tensor
    opacity: Tensor
    weights: Tensor


class Picture(NamedTuple):
    """The part of a Rendering that does not grow with the samples: ``(rays, 3)``, ``(rays,)``, ``(rays,)``."""

    rgb: Tensor
    depth: Tensor
    opacity: Tensor

    def as_image(self, height: int) -> Picture:
        """The same with rays in rows of an image: ``(height, width, 3)``, ``(height, width)`` twice."""
        return Picture(*(part.unflatten(0, (height, -1)) for part in self))

    def depth_with_background(self, far: float) -> Tensor:
        """Expected t in which the light that met nothing comes from ``far``, where `depth` counts it as 0."""
        return self.depth + (1 - self.opacity) * far


def interval_lengths(t: Tensor, directions: Tensor) -> Tensor:
    """δ_i, the distance from a sample to the next one, ``(rays, samples)``; the last one is LAST_INTERVAL."""
    lengths = F.pad(t.diff(dim=-1), (0, 1), value=LAST_INTERVAL)
    return lengths * directions.norm(dim=-1, keepdim=True)


def transmittance_weights(density: Tensor, lengths: Tensor) -> Tensor:
    """w_i = T_i α_i with α_i = 1 - exp(-σ_i δ_i) and T_i = exp(-Σ_{j<i} σ_j δ_j) (equation 3).

    density, lengths: (rays, samples), not negative. Returns ``(rays, samples)``; a ray's sum is its opacity.
    """
    optical = density * lengths
    # Sums of exponents in place of products of 1 - α: cumprod's backward would ask the device for zeros.
    before = F.pad(optical[..., :-1].cumsum(-1), (1, 0))
    return torch.exp(-before) * -torch.expm1(-optical)


def integrate(raw: Tensor, t: Tensor, directions: Tensor, background: float, noise: Tensor | float = 0.0) -> Rendering:
    """The picture of ``raw (rays, samples, 4)`` at the distances ``t (rays, samples)`` in front of a grey background.

    noise: added to the raw density before the ReLU, ``(rays, samples)``. Computed in fp32 at least: bf16 would leave
    a colour fewer than the 256 steps of an image.
    """
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
    density = F.relu(raw[..., 3] + noise)
    weights = transmittance_weights(density, interval_lengths(t, directions))  # (rays, samples)
    colours = raw[..., :3].sigmoid()  # (rays, samples, 3)
    opacity = weights.sum(-1)
    rgb = (weights.unsqueeze(-1) * colours).sum(-2) + background * (1 - opacity).unsqueeze(-1)
    return Rendering(rgb, (weights * t).sum(-1), opacity, weights)


class NeRF(nn.Module):
    """A coarse and a fine radiance field; the coarse one's weights say where the fine one is asked.

    Each field has its own feedback points, error tap and so its own feedback matrices.
    """

    def __init__(self, config: NeRFConfig) -> None:
        super().__init__()
        self.coarse = RadianceField(config)
        self.fine = RadianceField(config)
        self.sampled: dict[str, Tensor] = {}  # by error tap, the distances at which its field was asked last

    def forward(
        self, rays: Rays, options: RenderOptions, random: bool = False, generator: torch.Generator | None = None
    ) -> tuple[Rendering, Rendering]:
        """The coarse and the fine rendering; random (training): samples are jittered, and densities noisy."""
        coarse_t = stratified(
            rays.origins, options.near, options.far, options.coarse_samples, random, generator
        )  # (rays, coarse samples)
        noise = options.density_noise if random else 0.0
        if random:
            self.sampled["coarse.tap"] = coarse_t
        coarse = render_field(self.coarse, rays, coarse_t, options.background, noise, generator)
        fine_t = hierarchical(coarse_t, coarse.weights, options.fine_samples, random, generator)
        if random:
            self.sampled["fine.tap"] = fine_t
        return coarse, render_field(self.fine, rays, fine_t, options.background, noise, generator)


def render_field(
    field: RadianceField,
    rays: Rays,
    t: Tensor,
    background: float,
    noise_std: float = 0.0,
    generator: torch.Generator | None = None,
) -> Rendering:
    """The rendering of one field from its values at the distances ``t (rays, samples)``."""
    positions = rays.origins.unsqueeze(1) + t.unsqueeze(-1) * rays.directions.unsqueeze(1)  # (rays, samples, 3)
    raw = field(positions, rays.views)
    noise: Tensor | float = 0.0
    if noise_std > 0:
        noise = noise_std * torch.randn(t.shape, device=t.device, dtype=t.dtype, generator=generator)
    return integrate(raw, t, rays.directions, background, noise)


@torch.no_grad()
def render_in_chunks(
    model: NeRF,
    rays: Rays,
    options: RenderOptions,
    chunk: int = 4096,
    on_chunk: Callable[[int], None] | None = None,
) -> Picture:
    """The fine rendering of any number of rays, without randomness and without gradient.

    Memory: the activations of ``chunk`` rays, and five numbers a ray. on_chunk: called with the number of rays after
    each chunk, for a progress bar.
    """
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: must be 1 or more rays")
    count, like = rays.origins.shape[0], rays.origins
    picture = Picture(like.new_empty(count, 3), like.new_empty(count), like.new_empty(count))
    for start in range(0, count, chunk):
        rows = slice(start, start + chunk)
        _, fine = model(rays.part(rows), options)
        for whole, part in zip(picture, fine[:3], strict=True):
            whole[rows] = part
        if on_chunk is not None:
            on_chunk(len(part))
    return picture
