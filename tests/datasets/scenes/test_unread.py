"""Images in formats that are not read: what lies there is never called missing, nor left out."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from PIL import Image

from tests.datasets.scenes.foreign import CAMERAS, DESK, LEGO, loaded, placed, refused
from tests.helpers.scene_samples import edit_json

FIRST = {DESK: "images/0000.png", LEGO: "train/r_0.png"}


def written_as(folder: Path, name: str, suffix: str, *, there: bool) -> None:
    """The first image in another format, and the camera file that says so."""
    old = folder / FIRST[name]
    new = old.with_suffix(suffix)
    old.unlink()
    if there:
        new.write_bytes(b"an image of some kind")
    relative = new.relative_to(folder).as_posix()
    edit_json(folder / CAMERAS[name], lambda content: content["frames"][0].update(file_path=relative))


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".exr", ".heic", ".bmp", ".jp2", ""])
@pytest.mark.parametrize("name", FIRST)
def test_an_image_in_another_format_is_refused(root: Path, capsys, name: str, suffix: str) -> None:
    """Such frames were left out, as 0000.tif.png was missing, a name that nobody had written."""
    folder = placed(root, name)
    written_as(folder, name, suffix, there=True)
    message = refused(name, capsys)
    assert f"{FIRST[name].removesuffix('.png')}{suffix})" in message and ".tif.png" not in message
    assert "frame 0 (" in message and "is not read; convert the images to PNG or JPEG" in message


def test_an_absent_image_is_called_as_the_camera_file_calls_it(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = placed(root, DESK)
    written_as(folder, DESK, ".tif", there=False)
    with caplog.at_level(logging.WARNING):
        assert len(loaded(DESK).train) == 4
    assert "1 of 6 frames skipped, their images are missing (the first: 0000.tif)" in caplog.text


def test_a_converted_copy_is_read_in_its_place(root: Path) -> None:
    """Some tools append a suffix: r_0.tif.png beside r_0.tif."""
    folder = placed(root, DESK)
    image = Image.open(folder / FIRST[DESK])
    image.load()
    written_as(folder, DESK, ".tif", there=True)
    image.save(folder / "images" / "0000.tif.png")
    assert loaded(DESK).test.names == ("images/0000.tif.png",)


def test_a_folder_named_like_an_image_without_suffix_is_none(root: Path) -> None:
    """Blender's scripts leave the suffix out, and a folder may have the name that is left."""
    folder = placed(root, LEGO)
    (folder / "train" / "r_0").mkdir()
    assert len(loaded(LEGO).train) == 6
