"""Scenes from outside that look right: other axes, and photographs that EXIF turns."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import data
from tests.datasets.scenes.foreign import CAMERAS, DESK, FERN, LEGO, loaded, placed, refused
from tests.helpers.scene_samples import SIZE, edit_json

pytestmark = pytest.mark.usefixtures("root")


def turn(content: Any) -> None:
    """The same cameras with OpenCV's axes: y down, z forward."""
    for frame in content["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[1:3] = [-row[1], -row[2]]


@pytest.mark.parametrize("name", [DESK, LEGO])
def test_axes_of_another_convention_are_found_and_turned(root: Path, name: str, capsys) -> None:
    """Such a scene would train to a blur of 10 dB, and nobody would say why. The hint is followed to the letter."""
    folder = placed(root, name)
    before = loaded(name)
    files = sorted(folder.glob("transforms*.json"))
    for path in files:
        edit_json(path, turn)
    message = refused(name, capsys)
    hint = '"camera_axes": "opencv"'
    assert "meet behind the cameras" in message and hint in message
    for path in files:
        edit_json(path, lambda content: content.update(json.loads(f"{{{hint}}}")))
    after = loaded(name)
    assert torch.equal(after.train.poses, before.train.poses) and data.main(["verify", name]) == 0


def outwards(content: Any) -> None:
    for frame in content["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[0], row[2] = -row[0], -row[2]


def test_cameras_that_look_outwards_can_be_said_to(root: Path, capsys, caplog: pytest.LogCaptureFixture) -> None:
    """A room seen from its middle has its focus behind the cameras too: it must be possible, and not be silent."""
    path = placed(root, DESK) / CAMERAS[DESK]
    edit_json(path, outwards)
    assert '("opengl" if the cameras do look outwards)' in refused(DESK, capsys)
    edit_json(path, lambda content: content.update(camera_axes="opengl"))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert len(loaded(DESK).train) == 5
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == [
        "with camera_axes opengl the view axes meet behind the cameras"
    ]


@pytest.mark.parametrize(
    ("angle", "warned"), [(-0.03, False), (-1e-9, False), (0.0, False), (1e-9, False), (1e-3, True), (0.03, True)]
)
def test_almost_parallel_views_are_not_refused(root: Path, caplog, angle: float, warned: bool) -> None:
    """Cameras side by side have no focus, or one far away, on either side: those of LLFF's Flower lie behind them.

    Refusing those, with the hint to turn what is right, would make good captures bad.
    """

    def edit(content: Any) -> None:
        for index, frame in enumerate(content["frames"]):
            c, s = math.cos(angle * index), math.sin(angle * index)
            frame["transform_matrix"] = [[c, 0, -s, 0.1 * index], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1]]

    edit_json(placed(root, DESK) / CAMERAS[DESK], edit)
    with caplog.at_level(logging.WARNING):
        assert len(loaded(DESK).train) == 5
    assert ("almost parallel, and meet behind" in caplog.text) == warned


def test_unknown_axes_are_refused(root: Path, capsys) -> None:
    path = placed(root, DESK) / CAMERAS[DESK]
    for wrong in ("openCV", 3, ["opencv"], None):
        edit_json(path, lambda content, wrong=wrong: content.update(camera_axes=wrong))
        assert "camera_axes is " in (message := refused(DESK, capsys)) and "not opengl or opencv" in message


def tag(folder: Path, orientation: int, suffix: str = "jpg") -> None:
    """Every image anew, 32 × 24 pixels, with EXIF's orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            image.crop((0, 4, SIZE, SIZE - 4)).save(path.with_suffix(f".{suffix}"), exif=exif)
        if path.suffix != f".{suffix}":
            path.unlink()


def name_images(suffix: str, **size: int) -> Callable[[Any], None]:
    def edit(content: Any) -> None:
        for key in ("w", "h", "cx", "cy"):
            content.pop(key, None)
        content.update(size)
        for frame in content["frames"]:
            frame["file_path"] = frame["file_path"].rpartition(".")[0] + f".{suffix}"

    return edit


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_photograph_that_exif_turns_is_read_as_stored_where_that_is_certain(root: Path, capsys, suffix: str) -> None:
    """Poses belong to the stored pixels or to the turned ones; taken for the wrong, every view is a quarter turn off.

    Width and height in the camera file tell which. Without them nobody can know: an error says how to make it certain.
    """
    folder = placed(root, DESK)
    tag(folder, 6, suffix)
    edit_json(folder / CAMERAS[DESK], name_images(suffix, w=SIZE, h=SIZE - 8))
    scene = loaded(DESK)
    assert scene.train.images.shape[1:3] == (SIZE - 8, SIZE) and data.main(["verify", DESK]) == 0
    edit_json(folder / CAMERAS[DESK], name_images(suffix, w=SIZE - 8, h=SIZE))
    assert "EXIF says that the image is to be turned (orientation 6)" in refused(DESK, capsys)
    edit_json(folder / CAMERAS[DESK], name_images(suffix))
    message = refused(DESK, capsys)
    assert "exiftool -Orientation=" in message and "mogrify -auto-orient" in message
    for upside_down in (2, 3, 4):  # which width and height cannot tell
        tag(folder, upside_down, suffix)
        edit_json(folder / CAMERAS[DESK], name_images(suffix, w=SIZE, h=SIZE - 8))
        assert f"orientation {upside_down}" in refused(DESK, capsys)
    for upright in (0, 1, 9):  # 0 and 9 mean nothing
        tag(folder, upright, suffix)
        assert len(loaded(DESK).train) == 5


def test_full_size_photographs_on_their_side_are_downsized_as_stored(root: Path) -> None:
    """LLFF's camera file has the full size, which decides; a tag that survives in the copies must not turn them."""
    folder = placed(root, FERN)
    table = np.load(folder / CAMERAS[FERN])
    table[:, 4] = 4 * SIZE  # half as high as wide
    np.save(folder / CAMERAS[FERN], table)
    exif = Image.Exif()
    exif[0x0112] = 8
    (folder / "images").mkdir()
    for path in (folder / "images_8").iterdir():
        image = Image.open(path).resize((8 * SIZE, 4 * SIZE))
        image.save(folder / "images" / f"{path.stem}.jpg", exif=exif)
    shutil.rmtree(folder / "images_8")
    shutil.rmtree(folder / "images_4")
    for _ in range(2):  # the second time from the cache
        assert loaded(FERN).train.images.shape[1:3] == (SIZE // 2, SIZE)
