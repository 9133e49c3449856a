"""A compact pre-activation ResNet (He et al., arXiv:1603.05027) with shortcuts without weights (option A).

Between the stages the residual stream loses every second row and column and gains channels of zeros. So with the
branches removed, it is a fixed linear map from each block to the mean over space that the output layer reads; that is
what `structural` sends the error back through. The last norm and ReLU are left out there.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.images.config import ResNetConfig
from dfa_core import ErrorTap, FeedbackPoint, Pooled

_STAGES = 3


class ResNet(nn.Module):
    """Three stages of residual blocks; a feedback point on the stream behind each block. Arguments as of `MLP`."""

    def __init__(self, config: ResNetConfig, shape: tuple[int, int, int], classes: int, samples: int) -> None:
        super().__init__()
        widths = [config.width * 2**stage for stage in range(_STAGES)]
        self.stem = nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False)
        self.blocks = nn.ModuleList()
        side, channels = shape[1], widths[0]
        for stage, width in enumerate(widths):
            for number in range(config.blocks):
                stride = 2 if stage and not number else 1
                side = -(-side // stride)
                features = (width, side, side)
                adjoint = partial(back_to_the_stream, features=features, stages_left=_STAGES - 1 - stage)
                point = FeedbackPoint(features, structure=Pooled(adjoint, widths[-1]))
                self.blocks.append(Block(channels, width, stride, point))
                channels = width
        self.norm = nn.BatchNorm2d(widths[-1])
        self.output = nn.Linear(widths[-1], classes)
        self.tap = ErrorTap(classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, *shape)`` → scores ``(n, classes)``."""
        h = self.stem(x)
        for block in self.blocks:
            h = block(h)
        return self.tap(self.output(F.relu(self.norm(h)).mean((2, 3))))


class Block(nn.Module):
    """x + conv(ReLU(norm(conv(ReLU(norm(x))))))."""

    def __init__(self, inputs: int, outputs: int, stride: int, point: FeedbackPoint) -> None:
        super().__init__()
        self.stride, self.new_channels = stride, outputs - inputs
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.point = point

    def forward(self, x: Tensor) -> Tensor:
        """``(n, inputs, side, side)`` → ``(n, outputs, side / stride, side / stride)``."""
        branch = self.conv1(F.relu(self.norm1(x)))
        branch = self.conv2(F.relu(self.norm2(branch)))
        return self.point(shortcut(x, self.stride, self.new_channels) + branch)


def shortcut(x: Tensor, stride: int, new_channels: int) -> Tensor:
    """The stream on its way past a block: every ``stride``-th row and column, and new channels of zeros."""
    if stride > 1:
        x = x[:, :, ::stride, ::stride]
    return F.pad(x, (0, 0, 0, 0, 0, new_channels)) if new_channels else x


def back_to_the_stream(error: Tensor, features: tuple[int, int, int], stages_left: int) -> Tensor:
    """The transpose of all shortcuts above a point and of the mean over space.

    Args:
        error: ``(n, channels of the last stage)``.
        features: of the point, (channels, side, side).
        stages_left: how often the stream is subsampled above it.

    Returns:
        ``(n, *features)``.
    """
    channels, side, _ = features
    step = 2**stages_left
    pixels = (-(-side // step)) ** 2
    sent = error.new_zeros(len(error), channels, side, side)
    sent[:, :, ::step, ::step] = (error[:, :channels] / pixels)[:, :, None, None]
    return sent
