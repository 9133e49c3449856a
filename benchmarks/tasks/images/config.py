"""Settings of the image tasks. Values live in `conf/architecture/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from benchmarks.settings.limits import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    Limit,
    at_least,
    between,
    limited,
    one_of,
)
from benchmarks.settings.schema import ModelConfig, TaskConfig

_CLASSES = 10
_MOST_LAYERS = 32

CHANNELS = Limit(
    lambda value: 1 <= len(value) <= _MOST_LAYERS and all(1 <= width <= 10_000 for width in value),
    f"must be 1 to {_MOST_LAYERS} widths of 1 or more",
)
ACTIVATIONS = ("relu", "tanh", "leaky_relu", "none")


@dataclass
class ImagesConfig(TaskConfig):
    """Classification of images."""

    domain: str = "images"
    suite: str = "${.dataset}"
    name: str = "${.suite}/${.architecture}"
    metric: str = "accuracy"
    rows: Optional[int] = limited(COUNT, None)  # noqa: UP045  only the first images of the training set
    #: the last of them are for validation; without any, the test images are looked at on the way, and the last weights
    #: are tested, as some studies publish it
    valid_share: float = limited(between(0, 0.9), 0.1)
    side: Optional[int] = limited(at_least(4), None)  # noqa: UP045  shrunk to side × side
    #: mean and deviation of each channel, of all pixels, or of CIFAR-10's channels as `data` has published ones
    standardise: str = limited(one_of("channels", "pixels", "published"), "channels")
    label_noise: float = limited(PROBABILITY, 0.0)  # share of the training labels that are drawn anew
    batch_size: int = limited(at_least(2), 128)  # batch norm needs two
    full_batches: bool = False  # leave out what is left of an epoch and fills no batch
    eval_batch_size: int = limited(COUNT, 1000)
    alignment_samples: int = limited(at_least(2), 128)  # the first images that are not trained on
    #: sum: below the output layer the gradient is that of the batch's summed loss, a rate × batch_size
    hidden_loss: str = limited(one_of("mean", "sum"), "mean")


@dataclass
class PerceptronConfig(ModelConfig):
    """Fully connected layers: linear map, dropout, activation, batch norm."""

    width: int = 800
    layers: int = 3  # hidden ones
    activation: str = limited(one_of(*ACTIVATIONS), "tanh")
    slope: float = limited(NOT_NEGATIVE, 0.01)  # of leaky_relu below zero
    batch_norm: bool = False
    input_dropout: float = limited(PROBABILITY, 0.0)
    dropout: float = limited(PROBABILITY, 0.0)
    bias: bool = True
    #: uniform: U(±1/√inputs), PyTorch's own; zeros: all weights; prealigned: with the feedback, see `prealign`
    initial: str = limited(one_of("uniform", "zeros", "prealigned"), "uniform")
    bottleneck: int = limited(NOT_NEGATIVE, 0)  # width of the middle hidden layer; 0: as the others
    #: share of the middle layer's gradients (weights, bias, input) that a fixed random mask lets through
    kept_gradient: float = limited(POSITIVE, 1.0)
    #: false, as a released bottleneck has it: the layer below the middle one learns from what comes down through it
    feedback_below_middle: bool = True

    def min_parameters(self) -> int:
        return (self.layers - 1) * self.width**2 + self.width * _CLASSES

    def min_modules(self) -> int:
        return self.layers

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kept_gradient > 1:
            raise ValueError(f"task.model.kept_gradient={self.kept_gradient}: must be 1 or less")
        about_middle = self.bottleneck or self.kept_gradient < 1 or not self.feedback_below_middle
        if about_middle and self.layers < 2:
            raise ValueError(f"task.model.layers={self.layers}: a bottleneck needs two hidden layers or more")


@dataclass
class StackConfig(ModelConfig):
    """Perceptrons of several seeds, trained side by side with the same feedback."""

    copies: int = 10
    width: int = 64
    layers: int = 2  # hidden ones
    activation: str = limited(one_of("relu", "tanh", "none"), "relu")

    def min_parameters(self) -> int:
        return self.copies * ((self.layers - 1) * self.width**2 + self.width * _CLASSES)

    def min_modules(self) -> int:
        return self.layers


@dataclass
class CNNConfig(ModelConfig):
    """Convolutions, then one fully connected hidden layer."""

    channels: list[int] = limited(CHANNELS, (32, 64, 64))  # of the convolutions' outputs
    kernel: int = 5
    padding: int = limited(NOT_NEGATIVE, 2)
    pool: int = limited(NOT_NEGATIVE, 3)  # side of the max pooling, with stride 2, behind each; 0: none
    hidden: int = limited(NOT_NEGATIVE, 128)  # width of the fully connected layer; 0: none
    #: of the convolutions: one kernel everywhere; one for each position; any map between the layers
    sharing: str = limited(one_of("conv", "local", "dense"), "conv")
    activation: str = limited(one_of(*ACTIVATIONS), "tanh")
    slope: float = limited(NOT_NEGATIVE, 0.01)  # of leaky_relu below zero
    batch_norm: bool = False
    input_dropout: float = limited(PROBABILITY, 0.0)
    conv_dropout: float = limited(PROBABILITY, 0.0)
    dropout: float = limited(PROBABILITY, 0.0)

    def min_parameters(self) -> int:
        convolutions = zip(self.channels[:-1], self.channels[1:], strict=True)
        return sum(a * b for a, b in convolutions) * self.kernel**2 + self.hidden * _CLASSES

    def min_modules(self) -> int:
        return len(self.channels)


@dataclass
class ResNetConfig(ModelConfig):
    """Pre-activation residual network of three stages, 6 · blocks + 2 layers."""

    width: int = 16  # channels of the first stage; the next ones have twice as many
    blocks: int = 1  # of each stage

    def min_parameters(self) -> int:
        first, others = 2 + (2 + 4) + (8 + 16), 2 * (1 + 4 + 16)  # a stage's first block comes from half its channels
        return 9 * (first + others * (self.blocks - 1)) * self.width**2

    def min_modules(self) -> int:
        return 3 * self.blocks


@dataclass
class ViTConfig(ModelConfig):
    """Vision Transformer without a class token: the mean over the tokens is read."""

    patch: int = 4  # side; must divide that of the images
    width: int = 64
    layers: int = 3
    heads: int = 4
    hidden: int = 128  # of the feed-forward networks
    dropout: float = limited(PROBABILITY, 0.0)

    def min_parameters(self) -> int:
        return self.layers * self.width * (4 * self.width + 2 * self.hidden)

    def min_modules(self) -> int:
        return self.layers

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"task.model.width={self.width}: must be a multiple of heads={self.heads}")
