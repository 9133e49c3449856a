"""Small scenes for tests: three balls in plain colours, drawn by the tracer, and cameras worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from datasets.core.source import Source
from datasets.registry import find_dataset
from datasets.scenes.cameras import Intrinsics
from datasets.scenes.tracer import Eye, Material, Sphere, World
from datasets.scenes.worlds import object_eyes, stage_eyes
from datasets.scenes.writers import write_blender, write_capture, write_llff

SIZE = 32
NAMES = {"blender": "nerf_synthetic/lego", "llff": "llff_real/fern", "capture": "capture/desk"}

#: Where the red, the green and the blue ball are: no two of them mirror images of each other.
OBJECT_POINTS = np.array([[0.7, 0.1, 0.2], [-0.3, 0.6, -0.4], [-0.1, -0.5, 0.6]])
STAGE_POINTS = np.array([[0.9, 4.0, 0.6], [-1.2, 5.0, 0.9], [0.3, 7.0, -1.6]])


def ball_world(points: np.ndarray, radius: float) -> World:
    """Balls without shading, each in one channel."""
    colours = np.eye(3)
    balls = (
        Sphere(tuple(point), radius, Material(tuple(colour))) for point, colour in zip(points, colours, strict=True)
    )
    return World(tuple(balls), ambient=1.0)


def object_views() -> dict[str, list[Eye]]:
    return {split: object_eyes("balls", split, n) for split, n in {"train": 6, "val": 2, "test": 4}.items()}


def stage_views() -> list[Eye]:
    return stage_eyes("balls", 9)


def write_balls(folder: Path, kind: str) -> Source:
    """The balls in one of the formats."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "blender":
        write_blender(folder, ball_world(OBJECT_POINTS, 0.12), object_views(), SIZE)
    elif kind == "capture":
        write_capture(folder, ball_world(OBJECT_POINTS, 0.12), object_views()["train"], SIZE)
    else:
        write_llff(folder, ball_world(STAGE_POINTS, 0.3), stage_views(), SIZE)
    return Source("stand-in", find_dataset(NAMES[kind]), folder, "balls")


def drawn_centres(image: Tensor) -> np.ndarray:
    """(3, 2): row and column of the middle of the red, the green and the blue ball in an image."""
    pixels = image.double().numpy()
    weights = pixels[..., :3] * (pixels[..., 3:] / 255 if pixels.shape[-1] == 4 else 1)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    mass = weights.sum(axis=(0, 1))
    return np.stack([np.einsum("rc,rck->k", grid, weights) / mass for grid in (rows, columns)], axis=1)


def project(intrinsics: Intrinsics, pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, 2): row and column (pixel centres are whole numbers) of points (n, 3), by the pinhole formula."""
    x, y, z = ((points - pose[:, 3]) @ pose[:, :3]).T
    column = intrinsics.cx + intrinsics.fx * x / -z - 0.5
    row = intrinsics.cy - intrinsics.fy * y / -z - 0.5
    return np.stack([row, column], axis=1)


def distance_to_rays(points: np.ndarray, origins: Tensor, directions: Tensor) -> np.ndarray:
    """(n,): how far each point is from its ray."""
    o, d = origins.double().numpy(), directions.double().numpy()
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    offset = points - o
    return np.linalg.norm(offset - (offset * d).sum(axis=1, keepdims=True) * d, axis=1)


def edit_json(path: Path, edit: Callable[[Any], object]) -> None:
    """Change the content of a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
