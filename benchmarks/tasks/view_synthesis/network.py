"""The radiance field of NeRF (Mildenhall et al., arXiv:2003.08934, figure 7): colour and density at a point."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.view_synthesis.config import NeRFConfig
from benchmarks.tasks.view_synthesis.encoding import PositionalEncoding
from dfa_core import ErrorTap, FeedbackPoint, derived_weight


class RadianceField(nn.Module):
    """F(x, d) → (rgb, σ): the density depends on the position x alone, the colour on the viewing direction d too.

    Feedback after each layer on the position, after the feature layer and after the direction layer, behind their ReLUs
    where they have one. The error is read at the output of every sample on every ray, so the renderer is differentiated
    exactly.
    """

    def __init__(self, config: NeRFConfig) -> None:
        super().__init__()
        width, half = config.width, config.width // 2
        self.encode_position = PositionalEncoding(config.position_frequencies)
        self.encode_direction = PositionalEncoding(config.direction_frequencies)
        position, direction = self.encode_position.width, self.encode_direction.width

        self.joins = [i == config.skip + 1 for i in range(config.depth)]  # does the position enter this layer again?
        inputs = [position, *(position + width if joins else width for joins in self.joins[1:])]
        self.layers = nn.ModuleList(nn.Linear(n, width) for n in inputs)
        self.points = nn.ModuleList(FeedbackPoint(width, batch_dims=2) for _ in inputs)
        self.density = nn.Linear(width, 1)
        self.feature = nn.Linear(width, width)
        self.feature_relu = config.feature_relu
        self.feature_point = FeedbackPoint(width, batch_dims=2)
        self.direction = nn.Linear(width + direction, half)
        self.direction_point = FeedbackPoint(half, batch_dims=2)
        self.colour = nn.Linear(half, 3)
        self.tap = ErrorTap(4, batch_dims=2)
        with torch.no_grad():
            self.density.bias.add_(config.density_bias)

    def forward(self, positions: Tensor, directions: Tensor) -> Tensor:
        """Raw values of ``positions (rays, samples, 3)`` seen along the unit vectors ``directions (rays, 3)``.

        Returns ``(rays, samples, 4)``: red, green and blue before the sigmoid, density before the ReLU.
        """
        x = self.encode_position(positions)  # (rays, samples, 63)
        d = self.encode_direction(directions).unsqueeze(1)  # (rays, 1, 27): once a ray, not once a sample
        h = x
        for layer, point, joins in zip(self.layers, self.points, self.joins, strict=True):
            h = linear_of_concat(layer, h, x) if joins else layer(h)
            # Not in place: h is a view, and autograd would copy it twice in the backward pass.
            h = point(F.relu(h))  # (rays, samples, width)
        density = self.density(h)  # (rays, samples, 1)
        feature = self.feature(h)  # (rays, samples, width)
        feature = self.feature_point(F.relu(feature) if self.feature_relu else feature)
        view = self.direction_point(F.relu(linear_of_concat(self.direction, feature, d)))  # (rays, samples, width / 2)
        return self.tap(torch.cat([self.colour(view), density], dim=-1))


def linear_of_concat(layer: Any, h: Tensor, extra: Tensor) -> Tensor:
    """``layer(cat([extra, h]))`` without the copy, ``(…, width)``; ``extra`` may broadcast over h's samples.

    Then its share is computed once for all samples of a ray. The weight's first columns are those of `extra`.
    """
    widths = [extra.shape[-1], h.shape[-1]]
    of_extra, of_h = (derived_weight(partial(_columns, widths, part), layer.weight) for part in (0, 1))
    return F.linear(h, of_h) + F.linear(extra, of_extra, layer.bias)


def _columns(widths: list[int], part: int, weight: Tensor) -> Tensor:
    return weight.split(widths, dim=1)[part]
