"""Which photograph a row of poses belongs to: the same one, whatever copy of the images is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.scenes.load import Scene, SceneOptions
from tests.datasets.scenes.foreign import CAMERAS, FERN, FOLDERS, loaded

HEIGHT, WIDTH, FOCAL = 80, 96, 100.0
DOWN, RIGHT, BACK = (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)

# Sorted by their full-size names, which is the order of the rows. With another suffix they have another order.
ORDERS = [
    ["a.JPG", "a.Left.JPG", "b.JPG", "c.JPG"],
    ["IMG_1.jpg", "IMG_1.mirror.jpg", "IMG_2.jpg"],
    ["x.a.png", "x.jpg", "x.k.png"],
    ["1.jpeg", "1.n.png", "10.jpeg", "2.jpeg"],
]


def grey(row: int) -> int:
    return 40 * (row + 1)


def photographs(root: Path, names: list[str]) -> Path:
    """A scene whose row i stands i steps to the right and has taken an image of grey(i); returns the folder."""
    folder = root / FOLDERS[FERN]
    (folder / "images").mkdir(parents=True)
    rows = []
    for row, name in enumerate(names):
        Image.new("RGB", (WIDTH, HEIGHT), (grey(row),) * 3).save(folder / "images" / name)
        matrix = np.stack([DOWN, RIGHT, BACK, (0.1 * row, 0, 0), (HEIGHT, WIDTH, FOCAL)], axis=1)
        rows.append([*matrix.ravel(), 1.0, 10.0])
    np.save(folder / CAMERAS[FERN], np.array(rows))
    return folder


def downsized(folder: Path, names: list[str], factor: int) -> None:
    """The images in a folder of the user's own, with the names that a person gave them."""
    (folder / f"images_{factor}").mkdir()
    for row, name in enumerate(names):
        image = Image.new("RGB", (WIDTH // factor, HEIGHT // factor), (grey(row),) * 3)
        image.save(folder / f"images_{factor}" / name)


def greys_by_place(scene: Scene) -> list[int]:
    """The greys of all views, from the camera that stands leftmost to the rightmost."""
    views = [
        (float(pose[0, 3]), round(float(image.double().mean())))
        for part in (scene.train, scene.test)
        for image, pose in zip(part.images, part.poses, strict=True)
    ]
    return [shade for _, shade in sorted(views)]


@pytest.mark.parametrize("names", ORDERS)
def test_downsizing_keeps_every_pose_with_its_photograph(root: Path, names: list[str]) -> None:
    """Copies have the suffix .png and were sorted once more: poses of one camera went to the image of another."""
    assert names == sorted(names)
    photographs(root, names)
    for factor in (1, 8, 8):  # the second time from the cache
        assert greys_by_place(loaded(FERN, SceneOptions(llff_factor=factor))) == list(map(grey, range(len(names))))


@pytest.mark.parametrize("names", ORDERS)
def test_copies_of_one_s_own_are_taken_in_the_order_of_the_originals(root: Path, names: list[str]) -> None:
    folder = photographs(root, names)
    downsized(folder, [f"{Path(name).stem}.png" for name in names], 4)
    assert greys_by_place(loaded(FERN, SceneOptions(llff_factor=4))) == list(map(grey, range(len(names))))


def test_originals_that_nobody_has_downsized_change_nothing(root: Path) -> None:
    """Structure from motion leaves images out, and its users leave them in the folder of the originals."""
    names = ["a.JPG", "a.Left.JPG", "b.JPG", "c.JPG"]
    folder = photographs(root, names)
    downsized(folder, [f"{Path(name).stem}.png" for name in names], 4)
    for unused in ("0.JPG", "a.Up.JPG", "d.JPG", "d.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "images" / unused)
    assert greys_by_place(loaded(FERN, SceneOptions(llff_factor=4))) == list(map(grey, range(4)))


@pytest.mark.parametrize("copies", [["image000.png", "image001.png", "image002.png"], ["a.png", "b.png", "d.png"]])
def test_copies_with_other_names_are_taken_in_their_own_order(root: Path, copies: list[str]) -> None:
    """The published scenes have image000.png … beside IMG_4026.JPG …: there only the positions agree."""
    folder = photographs(root, ["a.JPG", "b.JPG", "c.JPG"])
    downsized(folder, copies, 4)
    assert greys_by_place(loaded(FERN, SceneOptions(llff_factor=4))) == [grey(0), grey(1), grey(2)]


def test_copies_alone_are_taken_in_their_own_order(root: Path) -> None:
    folder = photographs(root, ["a.Left.png", "a.png", "b.png"])
    (folder / "images").rename(folder / "originals")
    downsized(folder, ["a.Left.png", "a.png", "b.png"], 8)
    assert greys_by_place(loaded(FERN)) == [grey(0), grey(1), grey(2)]


def test_originals_of_which_two_have_one_stem_say_nothing_of_the_order(root: Path) -> None:
    folder = photographs(root, ["a.jpg", "a.png", "b.png"])
    downsized(folder, ["a.png", "b.png", "c.png"], 4)
    assert greys_by_place(loaded(FERN, SceneOptions(llff_factor=4))) == [grey(0), grey(1), grey(2)]


@pytest.mark.parametrize("copies", [["a.jpg", "a.png", "b.png"], ["a.png", "b.jpg", "b.png"]])
@pytest.mark.parametrize("originals", [["a.jpg", "a.png", "b.png"], ["a.jpg", "b.jpg", "c.jpg"]])
def test_images_of_one_stem_are_each_taken_once(root: Path, originals: list[str], copies: list[str]) -> None:
    folder = photographs(root, originals)
    downsized(folder, copies, 4)
    for factor in (1, 4):
        assert greys_by_place(loaded(FERN, SceneOptions(llff_factor=factor))) == [grey(0), grey(1), grey(2)]
