"""Stand-ins of the image datasets: generated glyphs in the published formats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from datasets.core.standin import StandIn
from datasets.images.cifar import SHAPE, Batch, records_of
from datasets.images.glyphs import draw_glyphs
from datasets.images.idx import write_idx
from datasets.images.manifest import BATCHES, CLASSES, IDX_FILES

_VERSION = 1
_SIDE = 28  # of a picture in the IDX files
_SEEDS = {"mnist": 1, "fashion_mnist": 2, "cifar10": 3}


@dataclass(frozen=True)
class ImageSettings:
    """seed: of the pictures; the classes are the same for all. train, test: images."""

    seed: int
    train: int
    test: int


def _write_idx_files(folder: Path, settings: ImageSettings) -> None:
    rng = np.random.default_rng(settings.seed)
    names = iter(IDX_FILES)
    for count in (settings.train, settings.test):
        labels = _labels(count, rng)
        write_idx(folder / next(names), draw_glyphs(labels, 1, _SIDE, rng)[:, 0])
        write_idx(folder / next(names), labels)


def _write_cifar_files(folder: Path, settings: ImageSettings) -> None:
    rng = np.random.default_rng(settings.seed)
    counts = [settings.train // (len(BATCHES) - 1)] * (len(BATCHES) - 1) + [settings.test]
    for name, count in zip(BATCHES, counts, strict=True):
        labels = _labels(count, rng)
        images = draw_glyphs(labels, SHAPE[0], SHAPE[1], rng)
        (folder / f"{name}.bin").write_bytes(records_of(Batch(labels, images)))


def _labels(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(CLASSES, size=count).astype(np.uint8)


def _standin(name: str) -> StandIn:
    make = partial(ImageSettings, _SEEDS[name])
    settings = {"smoke": make(600, 200), "quick": make(10_000, 2_000), "default": make(20_000, 5_000)}
    if name == "cifar10":
        files = tuple(f"{batch}.bin" for batch in BATCHES)
        return StandIn(name, _VERSION, files, settings, _write_cifar_files)
    return StandIn(name, _VERSION, IDX_FILES, settings, _write_idx_files)


STANDINS = {name: _standin(name) for name in _SEEDS}
