"""Drawing a world from some eyes and writing it in the three formats, cameras as each of them has it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets.scenes.tracer import Eye, Picture, World, draw

LLFF_FACTOR = 8  # the smaller of an LLFF scene's image folders; the full size is this many times as large


def write_blender(folder: Path, world: World, eyes: Mapping[str, Sequence[Eye]], size: int) -> None:
    """NeRF-Synthetic's format: per split a camera file and RGBA images of size × size."""
    for split, of_split in eyes.items():
        (folder / split).mkdir()
        frames = []
        for index, eye in enumerate(of_split):
            name = f"{split}/r_{index}"
            _save(folder / f"{name}.png", draw(world, eye, size).rgba)
            frames.append({"file_path": f"./{name}", "transform_matrix": _matrix(eye)})
        content = {"camera_angle_x": of_split[0].angle, "frames": frames}
        _write_json(folder / f"transforms_{split}.json", content)


def write_capture(folder: Path, world: World, eyes: Sequence[Eye], size: int) -> None:
    """A capture's format: one camera file with intrinsics, RGB images of size × size on black."""
    (folder / "images").mkdir()
    frames = []
    for index, eye in enumerate(eyes):
        name = f"images/{index:04d}.png"
        _save(folder / name, _on_black(draw(world, eye, size)))
        frames.append({"file_path": name, "transform_matrix": _matrix(eye)})
    focal = _focal(eyes[0], size)
    lens = {"fl_x": focal, "fl_y": focal, "cx": size / 2, "cy": size / 2, "w": size, "h": size}
    _write_json(folder / "transforms.json", {**lens, "frames": frames})


def write_llff(folder: Path, world: World, eyes: Sequence[Eye], size: int) -> None:
    """LLFF's format: `images_8` of size × size, `images_4` of twice that, and `poses_bounds.npy`.

    The full-size images are left out, as their only use is to be downsized.
    """
    sizes = {f"images_{LLFF_FACTOR // 2}": 2 * size, f"images_{LLFF_FACTOR}": size}
    for name in sizes:
        (folder / name).mkdir()
    rows = []
    for index, eye in enumerate(eyes):
        picture = draw(world, eye, 2 * size)
        large = Image.fromarray(_on_black(picture))
        for name, pixels in sizes.items():
            large.reduce(2 * size // pixels).save(folder / name / f"image{index:03d}.png")
        rows.append(_llff_row(eye, LLFF_FACTOR * size, picture))
    np.save(folder / "poses_bounds.npy", np.stack(rows), allow_pickle=False)


def _matrix(eye: Eye) -> list[list[float]]:
    """(4, 4): the camera's right, upward and backward axes and its position, as columns."""
    right, up, forward = eye.basis()
    columns = np.stack([right, up, -forward, np.asarray(eye.position)], axis=1)
    return [*columns.tolist(), [0.0, 0.0, 0.0, 1.0]]


def _llff_row(eye: Eye, full_size: int, picture: Picture) -> np.ndarray:
    """(17,): down, right, backward, position and (height, width, focal) as columns; nearest and farthest depth."""
    right, up, forward = eye.basis()
    lens = np.array([full_size, full_size, _focal(eye, full_size)])
    columns = np.stack([-up, right, -forward, np.asarray(eye.position), lens], axis=1)
    return np.concatenate([columns.ravel(), picture.depths])


def _focal(eye: Eye, size: int) -> float:
    """In pixels."""
    return float(size / (2 * np.tan(eye.angle / 2)))


def _on_black(picture: Picture) -> np.ndarray:
    """(size, size, 3) uint8."""
    alpha = picture.rgba[..., 3:].astype(float) / 255
    return np.round(picture.rgba[..., :3] * alpha).astype(np.uint8)


def _save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="ascii", newline="\n")
