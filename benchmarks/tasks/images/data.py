"""The images of a task: which are trained on, validated on and tested on, and how a batch of them is made ready."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks.images.config import ImagesConfig
from datasets.core.source import Source
from datasets.images.load import Images, load_images
from datasets.images.manifest import CLASSES

load_once = lru_cache(maxsize=2)(load_images)  # a worker runs many seeds and methods on the same images
_CHUNK = 128  # images that are worked on at a time: what they take as doubles stays in a processor's cache
_NOISE_SEED = 0  # of the labels that are drawn anew: the same for all seeds of a run


class Batch(NamedTuple):
    """images: ``(n, channels, side, side)`` float, standardised. labels: ``(n,)`` int64."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(self.images.to(device), self.labels.to(device))


class Part(NamedTuple):
    """The images of one part as they were loaded, ``(n, channels, side, side)`` uint8, or shrunk, float."""

    images: Tensor
    labels: Tensor


class TaskImages:
    """The three parts of a dataset under a task's settings.

    The validation part is the last ``valid_share`` of the training images; without it the test images stand in its
    place. Mean and deviation are those of the images that are trained on.

    Raises:
        ValueError: no image is left for a part, or none for a batch.
    """

    def __init__(self, config: ImagesConfig, source: Source) -> None:
        loaded = load_once(source)
        train, test = (_shrunk(part, config.side) for part in loaded)
        used = len(train.labels[: config.rows])
        kept = used - round(used * config.valid_share)
        if kept < config.batch_size:
            raise ValueError(
                f"task.batch_size={config.batch_size}: {kept} images are left to train on; take a smaller batch, more "
                "rows or a smaller valid_share"
            )
        self.train = Part(train.images[:kept], _noisy(train.labels[:kept], config.label_noise))
        self.valid = Part(train.images[kept:used], train.labels[kept:used]) if kept < used else test
        self.test = test
        if config.standardise == "published":
            self.mean, self.deviation = _published(self.shape[0])
        else:
            dims = (0, 2, 3) if config.standardise == "channels" else (0, 1, 2, 3)
            self.mean, self.deviation = _moments(self.train.images, dims)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image: channels, height, width."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def ready(self, part: Part, chosen: Tensor | slice) -> Batch:
        """The chosen images of a part, standardised."""
        return Batch((part.images[chosen].float() - self.mean) / self.deviation, part.labels[chosen])

    def training_batches(self, config: ImagesConfig, seed: int, epoch: int, start: int) -> Iterator[Batch]:
        """Batches of an epoch from number ``start`` on; their order depends on seed and epoch alone."""
        order_seed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
        order = torch.randperm(len(self.train.labels), generator=torch.Generator().manual_seed(order_seed))
        chunks = order.split(config.batch_size)
        if config.full_batches and len(chunks[-1]) < config.batch_size:
            chunks = chunks[:-1]
        return (self.ready(self.train, chunk) for chunk in chunks[start:])

    def in_order(self, part: Part, size: int) -> Iterator[Batch]:
        """A whole part in batches."""
        return (self.ready(part, slice(start, start + size)) for start in range(0, len(part.labels), size))


def _shrunk(part: Images, side: int | None) -> Part:
    """The images at ``side × side`` pixels, by linear interpolation behind a low-pass filter."""
    if side is None or side == part.images.shape[-1]:
        return Part(part.images, part.labels)
    small = torch.empty(*part.images.shape[:2], side, side)
    for chunk, place in zip(part.images.split(_CHUNK), small.split(_CHUNK), strict=True):
        place.copy_(F.interpolate(chunk.float(), size=(side, side), mode="bilinear", antialias=True))
    return Part(small, part.labels)


def _noisy(labels: Tensor, share: float) -> Tensor:
    """The labels with a share of them drawn anew, which may give an image its own label again."""
    if not share:
        return labels
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    drawn_anew = torch.rand(labels.shape, generator=generator) < share
    return torch.where(drawn_anew, torch.randint(CLASSES, labels.shape, generator=generator), labels)


def _published(channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of CIFAR-10's channels as much code has them, that of arXiv:1906.04554 included.

    The deviations are four fifths of the true ones (they are a mean over images), which makes the pixels larger and the
    first layer learn one and a half times as fast.
    """
    if channels != 3:
        raise ValueError(f"task.standardise=published: is for colour images, and these have {channels} channel(s)")
    constants = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    mean, deviation = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in constants)
    return mean, deviation


def _moments(images: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and deviation over ``dims`` in fp64, chunk by chunk; a constant channel has the deviation 1."""
    count = images.numel() / (images.shape[1] if len(dims) == 3 else 1)
    total = squares = torch.zeros((), dtype=torch.float64)
    for chunk in images.split(_CHUNK):
        values = chunk.double()
        total = total + values.sum(dims, keepdim=True)
        squares = squares + values.square_().sum(dims, keepdim=True)
    mean = total / count
    deviation = (squares / count - mean**2).clamp(min=0).sqrt()
    return mean.float(), torch.where(deviation > 0, deviation, 1).float()
