"""Bad scenes: one line that names the file, what is wrong in it and what to do, whatever the fault."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.core.errors import DataError
from datasets.core.source import Source
from datasets.registry import find_dataset
from datasets.scenes.load import SceneOptions, load_scene
from tests.helpers.scene_samples import NAMES, SIZE, edit_json, write_balls

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene in each format, to be copied."""
    folder = tmp_path_factory.mktemp("good")
    for kind in NAMES:
        write_balls(folder / kind, kind)
    return folder


@pytest.fixture(autouse=True)
def ready_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.scenes.load.prepare", lambda source: None)
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))


def complaint(good: Path, folder: Path, kind: str, spoil: Spoil, options: SceneOptions | None = None) -> str:
    """What loading a spoilt copy says, without the hint."""
    shutil.copytree(good / kind, folder)
    spoil(folder)
    with pytest.raises(DataError) as caught:
        load_scene(Source("stand-in", find_dataset(NAMES[kind]), folder, "spoilt"), options or SceneOptions())
    message = str(caught.value)
    assert "\n" not in message
    what, _, fix_hint = message.rpartition("; ")
    assert "delete the folder" in fix_hint and str(folder) in what
    return what.replace(str(folder), "")


def json_edit(name: str, edit: Callable[[Any], object]) -> Spoil:
    return lambda folder: edit_json(folder / name, edit)


def in_frame(index: int, **changes: object) -> Callable[[Any], object]:
    return lambda content: content["frames"][index].update(changes)


def pose_edit(row: int, column: int, value: float) -> Callable[[Any], object]:
    def edit(content: Any) -> None:
        content["frames"][2]["transform_matrix"][row][column] = value

    return edit


def mirror(content: Any) -> None:
    for row in content["frames"][2]["transform_matrix"][:3]:
        row[0] = -row[0]


def cut_in_half(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return spoil


def resize(name: str) -> Spoil:
    return lambda folder: Image.new("RGB", (SIZE, SIZE + 1)).save(folder / name)


TRAIN = "transforms_train.json"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / TRAIN).unlink(), "/transforms_train.json is missing"),
        (lambda folder: (folder / "val" / "r_1.png").unlink(), "/val/r_1.png is missing"),
        (cut_in_half("test/r_3.png"), "/test/r_3.png cannot be decoded"),
        (resize("test/r_2.png"), "/test/r_2.png: 32×33 pixels where r_0.png has 32×32"),
        (cut_in_half(TRAIN), "/transforms_train.json: line "),
        (json_edit(TRAIN, lambda c: c.pop("frames")), "has no list of frames"),
        (json_edit(TRAIN, lambda c: c["frames"].clear()), "has no list of frames, or an empty one"),
        (json_edit(TRAIN, lambda c: c["frames"].insert(1, 7)), "frame 1 has no file_path"),
        (json_edit(TRAIN, in_frame(1, file_path="../../secret")), "frame 1 (../../secret): the image must lie in"),
        (json_edit(TRAIN, in_frame(1, file_path="/etc/x.png")), "frame 1 (/etc/x.png): the image must lie in"),
        (json_edit(TRAIN, in_frame(2, transform_matrix=[[1, 2], [3]])), "frame 2 (train/r_2): transform_matrix is not"),
        (json_edit(TRAIN, in_frame(2, transform_matrix=None)), "frame 2 (train/r_2): transform_matrix is not a 4×4"),
        (json_edit(TRAIN, pose_edit(0, 0, 1.5)), "frame 2 (train/r_2): transform_matrix is not rigid: its axes"),
        (json_edit(TRAIN, mirror), "frame 2 (train/r_2): transform_matrix is not rigid: it mirrors"),
        (json_edit(TRAIN, pose_edit(3, 0, 0.5)), "frame 2 (train/r_2): transform_matrix is not rigid: its last row"),
        (json_edit(TRAIN, pose_edit(1, 3, float("nan"))), "transform_matrix has entries that are not finite"),
        (json_edit(TRAIN, lambda c: c.update(camera_angle_x=0)), "camera_angle_x is 0 where only more than 0"),
        (json_edit(TRAIN, lambda c: c.update(camera_angle_x=3.2)), "camera_angle_x is 3.2 where an angle"),
        (json_edit(TRAIN, lambda c: c.update(camera_angle_x="wide")), "camera_angle_x is 'wide', not a number"),
        (json_edit(TRAIN, lambda c: c.pop("camera_angle_x")), "has no camera_angle_x"),
        (json_edit("transforms_val.json", lambda c: c.update(camera_angle_x=0.8)), "/transforms_val.json: another"),
    ],
)
def test_blender_scenes(good: Path, tmp_path: Path, spoil: Spoil, words: str) -> None:
    assert words in complaint(good, tmp_path / "lego", "blender", spoil)


def table_edit(change: Callable[[np.ndarray], np.ndarray | None]) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "poses_bounds.npy"
        table = np.load(path)
        changed = change(table)
        np.save(path, table if changed is None else changed)

    return spoil


def put(row: int, column: int, value: float) -> Spoil:
    return table_edit(lambda table: table.__setitem__((row, column), value))


def turn_back(table: np.ndarray) -> None:
    """Row 3 looks the other way, upright: its right and backward axes (columns 1 and 2 of 5) are negated."""
    matrix = table[3, :15].reshape(3, 5)
    matrix[:, 1:3] *= -1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "poses_bounds.npy").unlink(), "/poses_bounds.npy is missing"),
        (cut_in_half("poses_bounds.npy"), "/poses_bounds.npy: is truncated or no array"),
        (lambda folder: np.save(folder / "poses_bounds.npy", np.array([{}])), "is truncated or no array"),
        (table_edit(lambda table: table[:, :16]), "/poses_bounds.npy: has the shape (9, 16) where (views, 17)"),
        (table_edit(lambda table: table[:0]), "has the shape (0, 17)"),
        (table_edit(lambda table: table[0]), "has the shape (17,)"),
        (table_edit(lambda table: table.astype("U8")), "does not hold an array of numbers"),
        (table_edit(lambda table: table[:7]), "/poses_bounds.npy: 7 rows for 9 images"),
        (put(2, 0, 3.0), "row 2: the pose is not rigid"),
        (table_edit(turn_back), "row 3: the camera looks away"),
        (put(4, 15, 1e9), "row 4: bounds 1e+09 and "),
        (put(4, 15, 0.0), "row 4: bounds 0 and "),
        (put(4, 16, np.inf), "row 4: bounds "),
        (put(5, 14, 0.0), "row 5: height, width and focal length"),
        (put(5, 14, 999.0), "row 5: another image size or focal length"),
        (lambda folder: (folder / "images_8" / "image004.png").unlink(), "9 rows for 8 images"),
        (cut_in_half("images_8/image004.png"), "/images_8/image004.png cannot be decoded"),
        (resize("images_8/image004.png"), "/images_8/image004.png: 32×33 pixels where image000.png has 32×32"),
        (
            lambda folder: shutil.rmtree(folder / "images_8"),
            ": has no folder images_8 or images (there is images_4, which task.llff_factor=4 takes)",
        ),
    ],
)
def test_llff_scenes(good: Path, tmp_path: Path, spoil: Spoil, words: str) -> None:
    assert words in complaint(good, tmp_path / "fern", "llff", spoil)


def all_in_one_place(content: Any) -> None:
    for frame in content["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[3] = 1.0


CAMERAS = "transforms.json"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / CAMERAS).unlink(), "/transforms.json is missing"),
        (lambda folder: shutil.rmtree(folder / "images"), "6 of 6 frames are without their image"),
        (json_edit(CAMERAS, lambda c: c.update(w=SIZE + 1)), "w and h are 33×32, but the images have 32×32"),
        (json_edit(CAMERAS, lambda c: c.update(fl_x=-3)), "fl_x is -3 where only more than 0"),
        (json_edit(CAMERAS, lambda c: c.pop("fl_x")), "has no camera_angle_x"),
        (json_edit(CAMERAS, lambda c: c.update(near=3, far=2)), "near (3) is not below far (2)"),
        (json_edit(CAMERAS, lambda c: c.update(camera_model="OPENCV_FISHEYE")), "camera_model 'OPENCV_FISHEYE'"),
        (json_edit(CAMERAS, in_frame(3, fl_x=30)), "frame 3 has its own fl_x"),
        (json_edit(CAMERAS, all_in_one_place), "all cameras stand in one point"),
        (cut_in_half("images/0003.png"), "/images/0003.png cannot be decoded"),
    ],
)
def test_captures(good: Path, tmp_path: Path, spoil: Spoil, words: str) -> None:
    assert words in complaint(good, tmp_path / "desk", "capture", spoil)


def full_size(folder: Path) -> None:
    """The scene with its full-size images alone."""
    (folder / "images").mkdir()
    for path in (folder / "images_8").iterdir():
        with Image.open(path) as image:
            image.resize((8 * SIZE, 8 * SIZE)).save(folder / "images" / path.name)
    shutil.rmtree(folder / "images_8")
    shutil.rmtree(folder / "images_4")


def test_a_failed_downsizing_leaves_nothing_in_the_cache(good: Path, tmp_path: Path) -> None:
    """Else the next run would take half a folder for the whole scene."""

    def spoil(folder: Path) -> None:
        full_size(folder)
        cut_in_half("images/image007.png")(folder)

    words = complaint(good, tmp_path / "fern", "llff", spoil)
    assert "/images/image007.png cannot be decoded" in words
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file() or "images" in path.name] == []


@pytest.mark.parametrize(
    "wrong", [{"downscale": 0}, {"every_test_view": 0}, {"holdout": 1}, {"llff_factor": 0.5}, {"downscale": 100}]
)
def test_options_out_of_range(good: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"integer of at least|cannot be downsized by 100"):
        load_scene(Source("stand-in", find_dataset(NAMES["blender"]), good / "blender", "good"), SceneOptions(**wrong))


def test_what_is_no_scene_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cora is not a scene; scenes are nerf_synthetic/…, llff_real/…, capture/…"):
        load_scene(Source("stand-in", find_dataset("cora"), tmp_path, "x"), SceneOptions())
