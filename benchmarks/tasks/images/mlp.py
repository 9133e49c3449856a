"""The multi-layer perceptron of both companion studies (arXiv:1906.04554, 2011.12428)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from benchmarks.tasks.dropout import Dropout
from benchmarks.tasks.images.config import PerceptronConfig
from benchmarks.tasks.images.layers import GradientMask, MaskedLinear, activation, named_sequence
from dfa_core import ErrorTap, FeedbackPoint


class MLP(nn.Module):
    """Hidden layers of a linear map, dropout, activation and batch norm, each with a feedback point behind it.

    Args:
        config: its settings.
        shape: of an image, (channels, height, width).
        classes: how many.
        samples: the largest batch that is trained on.
    """

    def __init__(self, config: PerceptronConfig, shape: tuple[int, int, int], classes: int, samples: int) -> None:
        super().__init__()
        widths = [math.prod(shape), *[config.width] * config.layers]
        middle = config.layers // 2
        if config.bottleneck:
            widths[1 + middle] = config.bottleneck
        self.input_dropout = Dropout(config.input_dropout)
        self.hidden = nn.ModuleList()
        for layer in range(config.layers):
            inputs, outputs = widths[layer : layer + 2]
            if config.kept_gradient < 1 and layer == middle:
                linear: nn.Linear = MaskedLinear(inputs, outputs, config.kept_gradient, config.bias)
            else:
                linear = nn.Linear(inputs, outputs, bias=config.bias)
            self.hidden.append(_layer(linear, outputs, config))
        if config.kept_gradient < 1 or not config.feedback_below_middle:
            self.hidden[middle - 1] = _below_middle(self.hidden[middle - 1], widths[middle], config, samples)
        self.output = nn.Linear(widths[-1], classes, bias=config.bias)
        self.tap = ErrorTap(classes)
        if config.initial == "zeros":
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    nn.init.zeros_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(n, *shape)`` → scores ``(n, classes)``."""
        h = self.input_dropout(x.flatten(1))
        for layer in self.hidden:
            h = layer(h)
        return self.tap(self.output(h))


def _below_middle(layer: nn.Module, width: int, config: PerceptronConfig, samples: int) -> nn.Sequential:
    """The layer below the middle one: what comes down to it through that layer is masked as that layer's gradients are.

    Where feedback enters it meets this mask in backprop's gradient alone, since the feedback comes in below it.
    """
    modules = dict(layer.named_children())
    if not config.feedback_below_middle:
        del modules["point"]
    if config.kept_gradient < 1:
        modules["mask"] = GradientMask(samples, width, config.kept_gradient)
    return named_sequence(**modules)


def _layer(linear: nn.Linear, width: int, config: PerceptronConfig) -> nn.Sequential:
    return named_sequence(
        linear=linear,
        dropout=Dropout(config.dropout),
        activation=activation(config.activation, config.slope),
        norm=nn.BatchNorm1d(width) if config.batch_norm else nn.Identity(),
        point=FeedbackPoint(width),
    )
