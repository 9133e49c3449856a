"""Layers of the image networks that PyTorch does not have, and activations by name."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def activation(name: str, slope: float) -> nn.Module:
    """An activation function by its name in the settings."""
    made = {"relu": nn.ReLU(), "tanh": nn.Tanh(), "leaky_relu": nn.LeakyReLU(slope), "none": nn.Identity()}
    return made[name]


def named_sequence(**modules: nn.Module) -> nn.Sequential:
    """Modules one behind the other, by name."""
    return nn.Sequential(OrderedDict(modules))


class LocallyConnected(nn.Module):
    """A convolution of stride 1 whose kernel is another one at each position.

    Args:
        channels: of the input and of the output.
        side: height and width of the input.
        kernel, padding: as of a convolution.
    """

    def __init__(self, channels: tuple[int, int], side: int, kernel: int, padding: int) -> None:
        super().__init__()
        self.kernel, self.padding = kernel, padding
        self.side = side + 2 * padding - kernel + 1
        inputs, positions = channels[0] * kernel**2, self.side**2
        self.weight = nn.Parameter(torch.empty(positions, inputs, channels[1]))
        self.bias = nn.Parameter(torch.empty(positions, 1, channels[1]))
        for parameter in self.parameters():  # as PyTorch draws those of a convolution
            nn.init.uniform_(parameter, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, side, side)`` → ``(n, channels, side', side')``."""
        patches = F.unfold(x, self.kernel, padding=self.padding).permute(2, 0, 1)  # (positions, n, inputs)
        out = torch.baddbmm(self.bias, patches, self.weight)  # (positions, n, channels)
        return out.permute(1, 2, 0).unflatten(2, (self.side, self.side))


class DenseMap(nn.Module):
    """Any linear map between the feature maps that a convolution would connect; arguments as `LocallyConnected`."""

    def __init__(self, channels: tuple[int, int], side: int, kernel: int, padding: int) -> None:
        super().__init__()
        new_side = side + 2 * padding - kernel + 1
        self.shape = (channels[1], new_side, new_side)
        self.linear = nn.Linear(channels[0] * side**2, math.prod(self.shape))

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, side, side)`` → ``(n, channels, side', side')``."""
        return self.linear(x.flatten(1)).unflatten(1, self.shape)


class MaskedLinear(nn.Linear):
    """A linear layer of which a share of the entries of weights and bias, drawn once, gets a gradient.

    Args:
        inputs, outputs: widths.
        kept: the share.
    """

    weight_mask: Tensor
    bias_mask: Tensor

    def __init__(self, inputs: int, outputs: int, kept: float, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        for name, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            self.register_buffer(f"{name}_mask", torch.rand(shape) < kept)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs)`` → ``(n, outputs)``."""
        bias = None if self.bias is None else _masked(self.bias, self.bias_mask)
        return F.linear(x, _masked(self.weight, self.weight_mask), bias)


class GradientMask(nn.Module):
    """The identity, whose gradient passes at a share of the places of a batch ``(samples, width)``, drawn once."""

    mask: Tensor

    def __init__(self, samples: int, width: int, kept: float) -> None:
        super().__init__()
        self.register_buffer("mask", torch.rand(samples, width) < kept)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width)``, with ``n`` at most ``samples``."""
        if not x.requires_grad:
            return x
        if len(x) > len(self.mask):
            raise ValueError(f"a batch of {len(x)}: the mask was made for {len(self.mask)} samples")
        return _masked(x, self.mask[: len(x)])


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(mask)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return gradient * mask, None


def _masked(x: Tensor, mask: Tensor) -> Tensor:
    """``x``, whose gradient is 0 where ``mask`` is false."""
    masked: Tensor = _Masked.apply(x, mask)
    return masked
