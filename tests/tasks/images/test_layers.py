"""The layers that PyTorch does not have, against a convolution and against formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from benchmarks.tasks.images.layers import DenseMap, GradientMask, LocallyConnected, MaskedLinear

SHAPES = [((2, 3), 6, 3, 0), ((1, 4), 5, 3, 1), ((3, 2), 7, 4, 2)]


@pytest.mark.parametrize(("channels", "side", "kernel", "padding"), SHAPES)
def test_one_kernel_everywhere_is_a_convolution(channels, side, kernel, padding):
    """Both equivalents can be what a convolution is: then weight sharing is the one thing they differ in."""
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(*channels, kernel, padding=padding).double()
    x = torch.randn(4, channels[0], side, side, dtype=torch.float64)
    expected = conv(x)
    local = LocallyConnected(channels, side, kernel, padding).double()
    with torch.no_grad():
        local.weight.copy_(conv.weight.flatten(1).T)
        local.bias.copy_(conv.bias)
    assert torch.allclose(local(x), expected)
    dense = DenseMap(channels, side, kernel, padding).double()
    with torch.no_grad():
        pixels = torch.eye(channels[0] * side**2, dtype=torch.float64).view(-1, channels[0], side, side)
        dense.linear.weight.copy_((conv(pixels) - conv(0 * pixels)).flatten(1).T)
        dense.linear.bias.copy_(conv(0 * pixels)[0].flatten())
    assert torch.allclose(dense(x), expected)


def test_a_kernel_is_its_positions_own():
    """Without it the layer could share weights after all."""
    layer = LocallyConnected((1, 1), 4, 2, 0)
    x = torch.randn(1, 1, 4, 4)
    before = layer(x)
    with torch.no_grad():
        layer.weight[3] += 1
    changed = (layer(x) != before).flatten()
    assert changed.tolist() == [position == 3 for position in range(9)]


@pytest.mark.parametrize("layer", [LocallyConnected((2, 3), 6, 3, 0), torch.nn.Conv2d(2, 3, 3)])
def test_initial_weights_are_those_of_a_convolution(layer):
    bound = 1 / math.sqrt(2 * 9)
    assert 0.9 * bound < layer.weight.abs().max() <= bound


# The released bottleneck -----------------------------------------------------------------------------------------


def gradients_of(layer, x, weights):
    """Gradients of the parameters and the input for a loss that weighs the outputs."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    (layer(x) * weights).sum().backward()
    return [*(parameter.grad for parameter in layer.parameters()), x.grad]


def test_a_share_of_weights_and_biases_learns():
    torch.manual_seed(0)
    layer = MaskedLinear(20, 30, kept=0.3)
    plain = torch.nn.Linear(20, 30)
    plain.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    x, weights = torch.randn(6, 20), torch.randn(6, 30)
    assert torch.equal(layer(x), plain(x))
    found, expected = gradients_of(layer, x, weights), gradients_of(plain, x, weights)
    for mine, other, mask in zip(found, expected, (layer.weight_mask, layer.bias_mask, 1), strict=True):
        assert torch.allclose(mine, other * mask)
    assert 0.2 < layer.weight_mask.float().mean() < 0.4


def test_a_mask_of_gradients_is_the_identity_forwards():
    torch.manual_seed(0)
    mask = GradientMask(samples=8, width=20, kept=0.3)
    x, weights = torch.randn(6, 20), torch.randn(6, 20)
    assert torch.equal(mask(x), x)
    (found,) = gradients_of(mask, x, weights)
    assert torch.equal(found, weights * mask.mask[:6]) and 0.2 < mask.mask.float().mean() < 0.4


@pytest.mark.parametrize("make", [lambda: MaskedLinear(5, 4, kept=0.5), lambda: GradientMask(3, 5, kept=0.5)])
def test_the_mask_is_the_same_in_every_step_and_saved(make):
    layer, other = make(), make()
    x = torch.randn(3, 5)
    weights = torch.randn_like(layer(x))
    first, second = gradients_of(layer, x, weights)[0], gradients_of(layer, 2 * x, weights)[0]
    assert torch.equal(first != 0, second != 0)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(gradients_of(other, x, weights)[0], first)


def test_a_batch_that_is_too_large_for_the_mask_is_refused():
    mask = GradientMask(samples=3, width=5, kept=0.5)
    with pytest.raises(ValueError, match="a batch of 4: the mask was made for 3 samples"):
        mask(torch.randn(4, 5, requires_grad=True))
    assert F.relu(mask(torch.randn(4, 5))).shape == (4, 5)  # an evaluation has no gradient to mask
