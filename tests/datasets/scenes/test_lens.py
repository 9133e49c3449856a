"""Lenses that are no pinholes, or that no camera has: their rays would train, to a blur."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets.scenes.cameras import pixel_rays, to_ndc
from tests.datasets.scenes.foreign import CAMERAS, DESK, FERN, LEGO, loaded, placed, refused
from tests.helpers.scene_samples import SIZE, edit_json

Edit = Callable[[Any], object]


def put(**values: object) -> Edit:
    return lambda content: content.update(values)


def in_frame(index: int, **values: object) -> Edit:
    return lambda content: content["frames"][index].update(values)


def by_angle(angle: float) -> Edit:
    def edit(content: Any) -> None:
        content.pop("fl_x"), content.pop("fl_y")
        content["camera_angle_x"] = angle

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (put(is_fisheye=True), "is_fisheye is True, a lens that is not supported; undistort the images to PINHOLE"),
        (put(is_fisheye=True, k1=0.3, k2=0.1), "is_fisheye is True"),
        (put(camera_type="FISHEYE"), "camera_type 'FISHEYE' is not supported; undistort the images to PINHOLE"),
        (put(camera_type="equirectangular"), "camera_type 'equirectangular' is not supported"),
        (put(camera_model="OPENCV_FISHEYE"), "camera_model 'OPENCV_FISHEYE' is not supported"),
        (put(ftheta_p0=0.1), "ftheta_p0 is 0.1, a lens"),
        (put(equirectangular=True), "equirectangular is True, a lens"),
        (in_frame(3, camera_model="FISHEYE"), "frame 3: camera_model 'FISHEYE' is not supported"),
        (in_frame(2, is_fisheye=True), "frame 2: is_fisheye is True"),
    ],
)
def test_a_lens_that_bends_straight_lines_is_refused(root: Path, capsys, edit: Edit, words: str) -> None:
    """Captures of fisheye lenses were trained as if their rays were those of a pinhole."""
    edit_json(placed(root, DESK) / CAMERAS[DESK], edit)
    assert words in refused(DESK, capsys)


@pytest.mark.parametrize(
    "values", [{"is_fisheye": False}, {"camera_type": "perspective"}, {"camera_model": "OPENCV", "is_fisheye": False}]
)
def test_what_says_that_it_is_a_pinhole_is_taken(root: Path, values: dict[str, Any]) -> None:
    """Converters write the key whatever the lens."""
    edit_json(placed(root, DESK) / CAMERAS[DESK], put(**values))
    assert len(loaded(DESK).train) == 5


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (put(fl_x=1e-9), "a focal length of 1e-09 pixels for images 32 pixels wide is an angle of view of 180°"),
        (put(fl_x=0.7, fl_y=0.7), "pixels wide is an angle of view of 175°, where 0.001° to 170° make sense"),
        (put(fl_y=1e-3), "pixels for images 32 pixels high is an angle of view of 180°"),
        (put(fl_x=1e9), "is an angle of view of 1.83e-06°"),
        (by_angle(3.1415), "pixels wide is an angle of view of 180°"),
        (by_angle(1e-9), "is an angle of view of 5.73e-08°"),
        (put(cx=1e9), "the view axis meets the image at (1e+09, 16), far outside of its 32×32 pixels"),
        (put(cy=-SIZE - 1), "the view axis meets the image at (16, -33), far outside"),
    ],
)
def test_intrinsics_that_no_camera_has_are_refused(root: Path, capsys, edit: Edit, words: str) -> None:
    """Numbers in another unit are numbers: the rays are finite, and nothing is ever learned from them."""
    edit_json(placed(root, DESK) / CAMERAS[DESK], edit)
    message = refused(DESK, capsys)
    assert words in message and "transforms.json" in message


@pytest.mark.parametrize("angle", [3.1415, 1e-6])
def test_angles_of_a_blender_scene_that_no_camera_has_are_refused(root: Path, capsys, angle: float) -> None:
    folder = placed(root, LEGO)
    for split in ("train", "val", "test"):
        edit_json(folder / f"transforms_{split}.json", put(camera_angle_x=angle))
    assert "is an angle of view of" in refused(LEGO, capsys)


@pytest.mark.parametrize("values", [{"fl_x": 4.0, "fl_y": 4.0}, {"fl_x": 2e5, "fl_y": 2e5}, {"cx": -10.0, "cy": 50.0}])
def test_wide_and_narrow_lenses_and_crops_are_taken(root: Path, values: dict[str, float]) -> None:
    """A wide-angle lens, a telescope, a part of a larger image."""
    edit_json(placed(root, DESK) / CAMERAS[DESK], put(**values))
    assert len(loaded(DESK).train) == 5


def edit_table(path: Path, edit: Callable[[np.ndarray], object]) -> None:
    table = np.load(path)
    edit(table)
    np.save(path, table)


def turned(degrees: float) -> Callable[[np.ndarray], object]:
    """Row 3 turned about the upward side."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])

    def edit(table: np.ndarray) -> None:
        matrix = table[3, :15].reshape(3, 5)
        axes = matrix[:, :3].copy()  # down, right, backward
        basis = np.stack([axes[:, 1], -axes[:, 0], axes[:, 2]], axis=1)
        new = basis @ turn
        matrix[:, 0], matrix[:, 1], matrix[:, 2] = -new[:, 1], new[:, 0], new[:, 2]

    return edit


@pytest.mark.parametrize("degrees", [70, 80, 89, -80])
def test_a_camera_whose_corners_leave_the_space_of_ndc_is_refused(root: Path, capsys, degrees: float) -> None:
    """Beyond a right angle to the mean view direction a ray comes back mirrored, from the other side of the scene."""
    edit_table(placed(root, FERN) / CAMERAS[FERN], turned(degrees))
    message = refused(FERN, capsys)
    assert "poses_bounds.npy: row 3: a corner of the image looks " in message
    assert "° away from the mean view direction" in message


@pytest.mark.parametrize("degrees", [20, 40])
def test_the_rays_of_a_camera_that_is_taken_are_finite(root: Path, degrees: float) -> None:
    edit_table(placed(root, FERN) / CAMERAS[FERN], turned(degrees))
    scene = loaded(FERN)
    size = scene.intrinsics.height
    pixels = torch.cartesian_prod(torch.arange(size), torch.arange(size))
    for pose in torch.cat([scene.train.poses, scene.test.poses]):
        origins, directions = pixel_rays(scene.intrinsics, pose, pixels)
        assert (directions[:, 2] < 0).all()
        mapped, towards = to_ndc(origins, directions, scene.intrinsics)
        assert mapped.isfinite().all() and towards.isfinite().all() and mapped.abs().max() < 100


def test_a_table_with_a_focal_length_that_no_camera_has_is_refused(root: Path, capsys) -> None:
    edit_table(placed(root, FERN) / CAMERAS[FERN], lambda table: table.__setitem__((slice(None), 14), 1e-3))
    assert "is an angle of view of 180°" in refused(FERN, capsys)


def lens(root: Path, **values: float) -> tuple[float, float]:
    """Focal lengths of the capture with these keys alone."""

    def edit(content: Any) -> None:
        for key in ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y"):
            content.pop(key, None)
        content.update(values)

    edit_json(placed(root, DESK) / CAMERAS[DESK], edit)
    intrinsics = loaded(DESK).intrinsics
    return intrinsics.fx, intrinsics.fy


def pixels(angle: float) -> float:
    return SIZE / 2 / math.tan(angle / 2)


@pytest.mark.parametrize(
    ("values", "fx", "fy"),
    [
        ({"fl_x": 40}, 40, 40),
        ({"fl_x": 40, "fl_y": 50}, 40, 50),
        ({"fl_x": 40, "fl_y": 50, "camera_angle_x": 0.7, "camera_angle_y": 0.6}, 40, 50),
        ({"camera_angle_x": 0.7}, pixels(0.7), pixels(0.7)),
        ({"camera_angle_x": 0.7, "camera_angle_y": 0.6}, pixels(0.7), pixels(0.6)),
        ({"camera_angle_x": 0.7, "fl_y": 50}, pixels(0.7), 50),
        ({"camera_angle_x": 0.7, "fl_y": 50, "camera_angle_y": 0.6}, pixels(0.7), 50),
        ({"fl_x": 40, "camera_angle_y": 0.6}, 40, pixels(0.6)),
    ],
)
def test_each_side_has_its_own_focal_length(root: Path, values: dict[str, float], fx: float, fy: float) -> None:
    """fl_y beside camera_angle_x, and camera_angle_y beside fl_x, were passed over: all rays were bent upwards."""
    assert lens(root, **values) == pytest.approx((fx, fy))


def warnings_with(root: Path, caplog: pytest.LogCaptureFixture, **values: object) -> list[str]:
    """The warnings for a capture whose frame 2 has these keys."""
    edit_json(placed(root, DESK) / CAMERAS[DESK], lambda content: content["frames"][2].update(values))
    with caplog.at_level(logging.WARNING):
        assert len(loaded(DESK).train) == 5
    return [record.getMessage() for record in caplog.records]


def test_distortion_of_a_frame_is_not_ignored_in_silence(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nerfstudio's files may have all of a lens at each frame; a warning was given for the key of the file alone."""
    (said,) = warnings_with(root, caplog, k1=0.3, k2=0, p1=-0.1)
    assert "lens distortion (k1=0.3, p1=-0.1 of frame 2) is not modelled" in said


def test_a_frame_that_says_that_it_has_no_distortion_is_taken(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_with(root, caplog, k1=0, k2=0.0) == []


@pytest.mark.parametrize("value", ["0.3", math.nan, 10**400, None], ids=["text", "nan", "huge", "null"])
def test_distortion_of_a_frame_that_is_no_number_is_refused(root: Path, capsys, value: object) -> None:
    edit_json(placed(root, DESK) / CAMERAS[DESK], lambda content: content["frames"][2].update(k1=value))
    assert "frame 2" in refused(DESK, capsys)
