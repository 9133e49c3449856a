"""People's own captures: one `transforms.json` with intrinsics, as instant-ngp's and Nerfstudio's converters write."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.core.errors import DataError
from datasets.core.files import is_file, obstacle
from datasets.scenes.cameras import Intrinsics
from datasets.scenes.frames import Frame, Transforms, read_transforms
from datasets.scenes.images import ImageFormat, inspect_images
from datasets.scenes.lens import check_pinhole, check_view
from datasets.scenes.plan import ScenePlan
from datasets.scenes.poses import focus_point
from datasets.scenes.types import SceneOptions

log = logging.getLogger(__name__)

CAMERA_FILE = "transforms.json"

# The cameras' mean distance from what they look at becomes that of NeRF's own scenes, as instant-ngp's converter has
# it: the positional encoding is made for coordinates of this order.
_DISTANCE = 4.0
# Bounds where the file gives none: from close to the nearest camera to a room around the object.
_NEAR, _FAR = 0.5, 12.0


def plan_capture(folder: Path, options: SceneOptions, fix_hint: str) -> ScenePlan:
    """A capture; frames are taken by name, every `options.holdout`-th is held out (both valid and test).

    Intrinsics from fl_x, fl_y, cx, cy, w, h, with camera_angle_x or camera_angle_y for a focal length that is absent;
    the middle of the image and square pixels where the file says nothing. The key camera_axes says which axes the
    poses have, see `Transforms`. Coordinates are moved and scaled: what the cameras look at lies in the origin, at
    a mean distance of 4. Bounds from the keys near and far (in the file's units) if it has them, else 0.5 and 12.
    White background if the images have alpha. Frames without an image are left out, with one warning that counts
    them; lens distortion is not modelled, with a warning. Raises DataError, ending in `fix_hint`, for a malformed
    file, for more than one camera, for a lens that is no pinhole, for axes and angles of view that cannot be meant,
    for an image whose beginning is damaged or whose place has something else, and if fewer than two images are
    there.
    """
    file = read_transforms(folder / CAMERA_FILE, fix_hint)
    check_pinhole(file)
    frames = _frames_with_image(file)
    file.check_axes(frames)
    paths = [frame.path for frame in frames]
    form = inspect_images(
        paths, fix_hint, options.downscale, options.longest_side, folder=folder, stated=_stated_size(file)
    )
    intrinsics = _intrinsics(file, form)
    check_view(file.path, intrinsics, fix_hint)
    frames, scale = _recentred(file, frames)
    near, far = _bounds(file, scale)
    kept = file.shots([frame for index, frame in enumerate(frames) if index % options.holdout])
    held_out = file.shots(frames[:: options.holdout * options.every_test_view])
    return ScenePlan(
        kept,
        valid=held_out,
        test=held_out,
        form=form,
        intrinsics=intrinsics,
        near=near,
        far=far,
        ndc=False,
        white_background=form.channels == 4,
        depths=(near, far),
        fix_hint=fix_hint,
    )


def _frames_with_image(file: Transforms) -> list[Frame]:
    """In order of their paths, which does not depend on the tool that wrote the file."""
    for frame in file.frames:
        if what := obstacle(frame.path):
            raise DataError(f"{frame.path} {what}; {file.fix_hint}")
    file.distinct_images()
    found = sorted((frame for frame in file.frames if is_file(frame.path)), key=lambda frame: frame.path)
    n_absent = len(file.frames) - len(found)
    if len(found) < 2:
        file.fail(f"{n_absent} of {len(file.frames)} frames are without their image, and two images are the least")
    if n_absent:
        absent = next(frame.path for frame in file.frames if not is_file(frame.path))
        log.warning(
            "%s: %d of %d frames skipped, their images are missing (the first: %s)",
            file.path,
            n_absent,
            len(file.frames),
            absent.name,
        )
    return found


def _stated_size(file: Transforms) -> tuple[float, float] | None:
    """Width and height that the file gives for its images; None if it does not give both."""
    if "w" not in file.fields or "h" not in file.fields:
        return None
    return file.positive("w"), file.positive("h")


def _intrinsics(file: Transforms, form: ImageFormat) -> Intrinsics:
    """The camera of the full-size images."""
    width, height = file.positive("w", form.width), file.positive("h", form.height)
    if (width, height) != (form.width, form.height):
        file.fail(f"w and h are {width:g}×{height:g}, but the images have {form.width}×{form.height} pixels")
    fx = _focal(file, "x", form.width)
    fy = _focal(file, "y", form.height) if {"fl_y", "camera_angle_y"} & file.fields.keys() else fx
    cx, cy = file.number("cx", width / 2), file.number("cy", height / 2)
    return Intrinsics(fx, fy, cx, cy, form.height, form.width)


def _focal(file: Transforms, side: str, size: int) -> float:
    """The focal length of one side, which has `size` pixels: from itself, else from the angle of view."""
    if f"fl_{side}" in file.fields:
        return file.positive(f"fl_{side}")
    return file.focal(f"camera_angle_{side}", size)


def _recentred(file: Transforms, frames: Sequence[Frame]) -> tuple[list[Frame], float]:
    """The frames with poses in the scene's coordinates, and the scale from the file's."""
    poses = np.stack([frame.pose for frame in frames])
    focus = focus_point(poses)
    distance = float(np.linalg.norm(poses[:, :, 3] - focus, axis=1).mean())
    if distance < 1e-9:
        file.fail("all cameras stand in one point: there is no depth to learn from")
    scale = _DISTANCE / distance
    poses[:, :, 3] = scale * (poses[:, :, 3] - focus)
    return [replace(frame, pose=pose) for frame, pose in zip(frames, poses, strict=True)], scale


def _bounds(file: Transforms, scale: float) -> tuple[float, float]:
    near = scale * file.positive("near") if "near" in file.fields else _NEAR
    far = scale * file.positive("far") if "far" in file.fields else _FAR
    if near >= far:
        file.fail(f"near ({near / scale:g}) is not below far ({far / scale:g})")
    return near, far
