"""The small convolutional network of arXiv:1906.04554, section 4, and its locally and fully connected equivalents."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from benchmarks.tasks.dropout import Dropout
from benchmarks.tasks.images.config import CNNConfig
from benchmarks.tasks.images.layers import DenseMap, LocallyConnected, activation, named_sequence
from dfa_core import ErrorTap, FeedbackPoint


class CNN(nn.Module):
    """Blocks of convolution, dropout of channels, activation, batch norm and max pooling, then a hidden layer.

    A feedback point stands behind each block and behind the hidden layer. Arguments as of `MLP`.

    Raises:
        ValueError: the image is used up before the last block.
    """

    def __init__(self, config: CNNConfig, shape: tuple[int, int, int], classes: int, samples: int) -> None:
        super().__init__()
        self.input_dropout = nn.Dropout2d(config.input_dropout)
        self.blocks = nn.ModuleList()
        side = shape[1]
        for channels in pairwise([shape[0], *config.channels]):
            new_side = _pooled(side + 2 * config.padding - config.kernel + 1, config.pool)
            if new_side < 1:
                raise ValueError(f"task.model.kernel={config.kernel}, pool={config.pool}: nothing is left of the image")
            self.blocks.append(_block(channels, side, new_side, config))
            side = new_side
        width = config.channels[-1] * side**2
        if config.hidden:
            self.blocks.append(_hidden(width, config))
        self.output = nn.Linear(config.hidden or width, classes)
        self.tap = ErrorTap(classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, *shape)`` → scores ``(n, classes)``."""
        h = self.input_dropout(x)
        for block in self.blocks:
            h = block(h)
        return self.tap(self.output(h.flatten(1)))


def _block(channels: tuple[int, int], side: int, new_side: int, config: CNNConfig) -> nn.Sequential:
    if config.sharing == "conv":
        linear: nn.Module = nn.Conv2d(*channels, config.kernel, padding=config.padding)
    else:
        kind = LocallyConnected if config.sharing == "local" else DenseMap
        linear = kind(channels, side, config.kernel, config.padding)
    return named_sequence(
        linear=linear,
        dropout=nn.Dropout2d(config.conv_dropout),
        activation=activation(config.activation, config.slope),
        norm=nn.BatchNorm2d(channels[1]) if config.batch_norm else nn.Identity(),
        pool=nn.MaxPool2d(config.pool, stride=2) if config.pool else nn.Identity(),
        point=FeedbackPoint((channels[1], new_side, new_side)),
    )


def _hidden(width: int, config: CNNConfig) -> nn.Sequential:
    return named_sequence(
        flatten=nn.Flatten(),
        linear=nn.Linear(width, config.hidden),
        dropout=Dropout(config.dropout),
        activation=activation(config.activation, config.slope),
        norm=nn.BatchNorm1d(config.hidden) if config.batch_norm else nn.Identity(),
        point=FeedbackPoint(config.hidden),
    )


def _pooled(side: int, pool: int) -> int:
    return (side - pool) // 2 + 1 if pool else side
