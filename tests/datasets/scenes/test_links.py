"""Links in a scene's folder: taken within it, refused out of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import data
from tests.datasets.scenes.foreign import DESK, FERN, LEGO, loaded, placed, refused

pytestmark = pytest.mark.usefixtures("root")


def link_file(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (DESK, "images/0002.png"),
        (DESK, "images"),
        (DESK, "transforms.json"),
        (LEGO, "train"),
        (LEGO, "test/r_1.png"),
        (LEGO, "transforms_val.json"),
        (FERN, "images_8"),
        (FERN, "images_8/image003.png"),
        (FERN, "poses_bounds.npy"),
    ],
)
def test_links_out_of_the_folder_are_refused(root: Path, capsys, name: str, file: str) -> None:
    """A scene from somebody else could have pictures of one's own disk scored and put on a contact sheet."""
    folder = placed(root, name)
    link_file(folder / file, root.parent / "elsewhere" / Path(file).name)
    message = refused(name, capsys)
    assert "is a link out of the scene's folder, to" in message and str(root.parent / "elsewhere") in message


def test_links_within_the_folder_and_to_it_are_taken(root: Path) -> None:
    """Scenes lie on other disks, and folders have second names."""
    folder = placed(root, DESK)
    link_file(folder / "images" / "0002.png", folder / "raw" / "b.png")
    link_file(folder, root.parent / "disk" / "desk")
    assert len(loaded(DESK).train) == 5 and data.main(["verify", DESK]) == 0


def test_a_loop_of_links_is_no_image(root: Path, capsys) -> None:
    folder = placed(root, LEGO)
    path = folder / "train" / "r_1.png"
    path.unlink()
    path.symlink_to(path.name)
    assert "r_1.png" in refused(LEGO, capsys)
