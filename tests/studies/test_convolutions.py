"""The largest cosine of a convolution: what counts as one weight is what PyTorch's layers share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.studies.convolutions import SHARING, _groups, bound, largest_cosine
from benchmarks.tasks.images.dynamics import matrix_of
from benchmarks.tasks.images.layers import LocallyConnected

CHANNELS, SIDE, KERNEL = 2, 5, 3


def numbered(layer: torch.nn.Module) -> np.ndarray:
    """The layer's matrix (outputs, inputs) when its weights are 1, 2, 3, …: the number of each entry's weight, or 0."""
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 1 + layer.weight.numel()).view_as(layer.weight))
    return matrix_of(layer, (CHANNELS, SIDE, SIDE)).T.numpy().round().astype(int)


@pytest.mark.parametrize(
    ("sharing", "layer"),
    [
        ("conv", torch.nn.Conv2d(CHANNELS, CHANNELS, KERNEL)),
        ("local", LocallyConnected((CHANNELS, CHANNELS), SIDE, KERNEL, 0)),
    ],
)
def test_entries_of_one_group_are_those_of_one_weight(sharing, layer):
    """Without it the bound could be that of another layer."""
    groups, weights = _groups(CHANNELS, SIDE, KERNEL, sharing), numbered(layer)
    assert ((groups >= 0) == (weights > 0)).all()
    pairs = set(zip(groups[groups >= 0], weights[groups >= 0], strict=True))
    assert len(pairs) == len(np.unique(groups[groups >= 0])) == layer.weight.numel()


@pytest.mark.parametrize("sharing", SHARING)
def test_the_formula_is_what_a_projection_reaches(sharing):
    found = np.mean(largest_cosine(6, 8, 3, sharing, draws=5, seed=1))
    assert found == pytest.approx(bound(8, 3, sharing), rel=0.05)


def test_no_weights_of_a_convolution_lie_closer():
    """The projection is the best there is: a search by gradient finds nothing better."""
    rng = np.random.default_rng(0)
    out = SIDE - KERNEL + 1
    target = torch.from_numpy(
        rng.uniform(-1, 1, (CHANNELS * out**2, 10)) @ rng.uniform(-1, 1, (CHANNELS * SIDE**2, 10)).T
    ).float()
    conv = torch.nn.Conv2d(CHANNELS, CHANNELS, KERNEL, bias=False)
    basis = torch.eye(CHANNELS * SIDE**2).view(-1, CHANNELS, SIDE, SIDE)
    optimizer = torch.optim.Adam(conv.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        matrix = conv(basis).flatten(1).T
        cosine = (matrix * target).sum() / (matrix.norm() * target.norm())
        (-cosine).backward()
        optimizer.step()
    groups = _groups(CHANNELS, SIDE, KERNEL, "conv")
    inside = groups >= 0
    sums = np.bincount(groups[inside], target.numpy()[inside])
    most = np.sqrt((sums**2 / np.bincount(groups[inside])).sum()) / target.norm().item()
    assert cosine.item() == pytest.approx(most, rel=1e-3)
