"""Views that are there twice: a held-out view that was trained on says nothing, and a name can hold one image."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets.registry import resolve
from datasets.scenes.load import SceneOptions, load_scene
from tests.datasets.scenes.foreign import FERN, LEGO, loaded, placed, refused
from tests.helpers.scene_samples import SIZE, edit_json


def copy_cameras(source: str, target: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copy(folder / f"transforms_{source}.json", folder / f"transforms_{target}.json")


def repeat_first(split: str) -> Callable[[Path], object]:
    def append(content: Any) -> None:
        content["frames"].append(content["frames"][0])

    return lambda folder: edit_json(folder / f"transforms_{split}.json", append)


def linked(folder: Path) -> None:
    (folder / "test" / "r_1.png").unlink()
    (folder / "test" / "r_1.png").symlink_to("../train/r_4.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (copy_cameras("train", "test"), "transforms_test.json: frame 0 is the training view r_0.png (frame 0 of trans"),
        (copy_cameras("train", "val"), "transforms_val.json: frame 0 is the training view r_0.png"),
        (copy_cameras("test", "train"), "transforms_test.json: frame 0 is the training view r_0.png"),
        (linked, "transforms_test.json: frame 1 is the training view r_1.png (frame 4 of transforms_train.json)"),
        (repeat_first("train"), "transforms_train.json: frames 0 and 6 are of one image, r_0.png"),
        (repeat_first("test"), "transforms_test.json: frames 0 and 4 are of one image, r_0.png"),
    ],
)
def test_views_of_a_blender_scene_are_trained_on_or_held_out(
    root: Path, capsys, spoil: Callable[[Path], object], words: str
) -> None:
    """The score of training views passed for that of held-out ones: the scene looked better than any method is."""
    spoil(placed(root, LEGO))
    assert words in refused(LEGO, capsys)


def test_every_view_of_a_test_set_is_looked_at_whatever_part_is_scored(root: Path) -> None:
    folder = placed(root, LEGO)
    linked(folder)
    with pytest.raises(ValueError, match="frame 1 is the training view"):
        load_scene(resolve(LEGO, "real"), SceneOptions(every_test_view=2))


def test_test_views_may_be_the_validation_views(root: Path) -> None:
    """Scenes without views for validation come so, and those of the other formats are read so."""
    copy_cameras("test", "val")(placed(root, LEGO))
    assert len(loaded(LEGO).valid) == 4


def large(folder: Path) -> Path:
    """Fern with its full-size images alone; returns their folder."""
    (folder / "images").mkdir()
    for path in (folder / "images_8").iterdir():
        with Image.open(path) as image:
            image.resize((8 * SIZE, 8 * SIZE)).save(folder / "images" / path.name)
    for name in ("images_4", "images_8"):
        shutil.rmtree(folder / name)
    return folder / "images"


def test_two_images_of_one_stem_are_refused_before_they_are_downsized(root: Path, tmp_path: Path) -> None:
    """One took the other's place in the cache, and the fix_hint, to delete the cache, led to the same again."""
    images = large(placed(root, FERN))
    with Image.open(images / "image005.png") as image:
        image.save(images / "image004.jpg")
    (images / "image005.png").unlink()
    for _ in range(2):
        message = rf"{images}: image004\.jpg and image004\.png would be one file, image004\.png, .*; rename one"
        with pytest.raises(ValueError, match=message):
            loaded(FERN)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    (images / "image004.jpg").rename(images / "image0041.jpg")
    assert len(loaded(FERN).train) == 7
