"""The lens of a scene's cameras: a pinhole, with an angle of view that a lens can have."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.core.errors import DataError, shown
from datasets.scenes.cameras import Intrinsics
from datasets.scenes.frames import Transforms

log = logging.getLogger(__name__)

_CAMERA_KEYS = ("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_angle_x", "camera_angle_y")
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
_OTHER_LENSES = ("is_fisheye", "ftheta_p0", "latlong", "equirectangular", "orthographic")  # keys of instant-ngp

# Degrees. Crops of satellites' images have the least, wide-angle lenses the most; beyond are lengths in another unit.
_NARROWEST, _WIDEST = 0.001, 170.0


def check_pinhole(file: Transforms) -> None:
    """Raise DataError unless a camera file is of one camera without a lens that bends straight lines on purpose.

    Slight distortion (k1 and so on) is not modelled, with a warning.
    """
    _check_model(file, file.fields, "")
    for index, frame in enumerate(file.frames):
        _check_model(file, frame.fields, f"frame {index}: ")
        if own := [key for key in _CAMERA_KEYS if key in frame.fields]:
            file.fail(f"frame {index} has its own {own[0]}; one camera for all frames is supported")
    bent = [_distortion(file, frame) for frame in (None, *range(len(file.frames)))]
    if first := next(filter(None, bent), None):
        log.warning("%s: lens distortion (%s) is not modelled; undistort the images if edges blur", file.path, first)


def check_view(path: Path, lens: Intrinsics, fix_hint: str) -> None:
    """Raise DataError, naming the camera file and ending in `fix_hint`, for intrinsics that no photograph has."""
    for side, focal, pixels in (("wide", lens.fx, lens.width), ("high", lens.fy, lens.height)):
        angle = 2 * math.degrees(math.atan2(0.5 * pixels, focal))
        if not _NARROWEST <= angle <= _WIDEST:
            raise DataError(
                f"{path}: a focal length of {focal:g} pixels for images {pixels} pixels {side} is an angle of view of "
                f"{angle:.3g}°, where {_NARROWEST:g}° to {_WIDEST:g}° make sense (lengths are in pixels, angles in "
                f"radians); {fix_hint}"
            )
    if not (-lens.width <= lens.cx <= 2 * lens.width and -lens.height <= lens.cy <= 2 * lens.height):
        raise DataError(
            f"{path}: the view axis meets the image at ({lens.cx:g}, {lens.cy:g}), far outside of its "
            f"{lens.width}×{lens.height} pixels (cx and cy are in pixels); {fix_hint}"
        )


def _distortion(file: Transforms, frame: int | None) -> str:
    """The terms of distortion that all frames have, or one has of its own; empty if there are none."""
    terms = {key: file.number(key, 0.0, frame=frame) for key in _DISTORTION}
    bent = ", ".join(f"{key}={value:g}" for key, value in terms.items() if value != 0)
    return f"{bent} of frame {frame}" if bent and frame is not None else bent


def _check_model(file: Transforms, fields: Mapping[str, Any], where: str) -> None:
    for key in ("camera_model", "camera_type"):
        model = fields.get(key, "PINHOLE")
        if not isinstance(model, str) or model.upper() not in _MODELS:
            file.fail(f"{where}{key} {shown(model)} is not supported; undistort the images to PINHOLE")
    for key in _OTHER_LENSES:
        if fields.get(key):
            file.fail(
                f"{where}{key} is {shown(fields[key])}, a lens that is not supported; undistort the images to PINHOLE"
            )
