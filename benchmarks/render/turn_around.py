"""The camera's way around a scene, as the frames of a GIF."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from PIL import Image

from benchmarks.render.recorded import Recorded
from benchmarks.tasks.view_synthesis.rays import view_rays
from benchmarks.tasks.view_synthesis.rendering import render_in_chunks
from benchmarks.tasks.view_synthesis.sheet import as_pixels
from datasets.scenes.cameras import Intrinsics
from datasets.scenes.load import turn_around_poses


def resized(camera: Intrinsics, scale: float) -> Intrinsics:
    """The camera with ``scale`` times as many rows and columns, rounded, at least one, and the same field of view.

    Focal lengths follow the rounded sizes: normalised device coordinates depend on their ratio.
    """
    height, width = (max(1, round(pixels * scale)) for pixels in (camera.height, camera.width))
    down, right = height / camera.height, width / camera.width
    return Intrinsics(camera.fx * right, camera.fy * down, camera.cx * right, camera.cy * down, height, width)


def render_frames(
    recorded: Recorded, count: int, device: torch.device, on_chunk: Callable[[int], None] | None = None
) -> Iterator[Image.Image]:
    """The scene from each of ``count`` poses of its turn-around, one at a time, in its camera's size."""
    scene, model = recorded.scene, recorded.model.to(device)
    for pose in turn_around_poses(scene, count):
        rays = view_rays(scene, pose.to(device))
        picture = render_in_chunks(model, rays, recorded.options, recorded.chunk, on_chunk)
        yield Image.fromarray(as_pixels(picture.as_image(scene.intrinsics.height).rgb))


def at_scale(recorded: Recorded, scale: float) -> Recorded:
    """The same, to be rendered in another size."""
    scene = recorded.scene
    return replace(recorded, scene=replace(scene, intrinsics=resized(scene.intrinsics, scale)))


def as_gif(frames: Sequence[Image.Image], milliseconds: int) -> bytes:
    """A GIF that never ends. Each frame has the 256 colours that suit it best, without dithering.

    Dithering would flicker, and double the file. Equal frames in a row become one that is shown for longer.
    """
    first, *others = (frame.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for frame in frames)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
    return file.getvalue()
