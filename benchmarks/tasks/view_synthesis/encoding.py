"""Positional encoding: coordinates as waves of doubling frequency, so that a network can draw fine detail."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PositionalEncoding(nn.Module):
    """γ(x) = (x, sin 2⁰x, cos 2⁰x, …, sin 2ᴸ⁻¹x, cos 2ᴸ⁻¹x), ``(…, dims)`` → ``(…, dims · (1 + 2L))``.

    NeRF (Mildenhall et al., arXiv:2003.08934), equation 4, as its code has it: with x itself, and without the
    equation's factor π. Every term holds all dims of x.
    """

    scales: Tensor

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.width = 3 * (1 + 2 * frequencies)
        # A buffer, since a tensor made in every step would be copied from the host; powers of two keep 2ᵏx exact.
        self.register_buffer("scales", 2.0 ** torch.arange(frequencies), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        angles = x.unsqueeze(-2) * self.scales.unsqueeze(-1)  # (…, L, dims)
        waves = torch.stack([angles.sin(), angles.cos()], dim=-2)  # (…, L, 2, dims)
        return torch.cat([x, waves.flatten(-3)], dim=-1)
