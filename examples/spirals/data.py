"""The points of two spirals: generated, rows of x, y and the spiral's number in a file of numpy's format."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.core.manifest import Manifest
from datasets.core.source import Dataset
from datasets.core.standin import StandIn


@dataclass(frozen=True)
class SpiralSettings:
    """points: of both spirals together."""

    points: int = 600


def _write(folder: Path, settings: SpiralSettings) -> None:
    rng, n = np.random.default_rng(0), settings.points
    radius, label = np.sqrt(rng.uniform(size=n)), rng.integers(2, size=n)
    angle = np.pi * (3 * radius + label)
    x, y = radius * np.stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.02, (2, n))
    np.save(folder / "points.npy", np.stack([x, y, label], axis=1).astype(np.float32))


DATASET = Dataset(
    Manifest("two_spirals", "two_spirals", licence="Apache-2.0", origin="generated", files=()),
    StandIn("two_spirals", 1, ("points.npy",), {"default": SpiralSettings()}, _write),
)
