"""Scenes from outside that look right: other axes, turned photographs, links, numbers that no camera has."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks import data
from datasets.core.errors import DataError
from datasets.registry import resolve
from datasets.scenes.load import Scene, SceneOptions, load_scene
from tests.helpers.scene_samples import SIZE, edit_json, write_balls

DESK, LEGO, FERN = "capture/desk", "nerf_synthetic/lego", "llff_real/fern"
FOLDERS = {DESK: "captures/desk", LEGO: "nerf_synthetic/lego", FERN: "nerf_llff_data/fern"}
KINDS = {DESK: "capture", LEGO: "blender", FERN: "llff"}
CAMERAS = {DESK: "transforms.json", LEGO: "transforms_train.json", FERN: "poses_bounds.npy"}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path / "root"))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "root"


def placed(root: Path, name: str) -> Path:
    """The balls as real data; returns the folder."""
    return write_balls(root / FOLDERS[name], KINDS[name]).folder


def loaded(name: str, options: SceneOptions | None = None) -> Scene:
    return load_scene(resolve(name, "real"), options or SceneOptions())


def refused(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a run says of the scene, in one line; `data verify` says the same."""
    with warnings.catch_warnings(), pytest.raises(DataError) as caught:
        warnings.simplefilter("error")
        loaded(name)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000
    capsys.readouterr()
    assert data.main(["verify", name]) == 2
    assert message in capsys.readouterr().err.splitlines()
    return message


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


HUGE = 10**400


def put(key: str, value: object) -> Callable[[Any], None]:
    return lambda content: content.update({key: value})


def in_frame(key: str, value: object) -> Callable[[Any], None]:
    return lambda content: content["frames"][2].update({key: value})


def at(row: int, column: int, value: object) -> Callable[[Any], None]:
    return lambda content: content["frames"][2]["transform_matrix"][row].__setitem__(column, value)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (put("fl_x", 1e300), "fl_x is 1e+300, and no camera has a number beyond ±1e+09"),
        (put("fl_x", HUGE), "fl_x is 1000"),
        (put("fl_x", math.inf), "fl_x is inf, and no camera"),
        (put("fl_x", math.nan), "fl_x is nan, not a number"),
        (put("fl_x", 1e-300), "fl_x is 1e-300 where only more than 0 makes sense"),
        (put("fl_y", -5), "fl_y is -5 where only more than 0"),
        (put("cx", -HUGE), "cx is -1000"),
        (put("w", HUGE), "w is 1000"),
        (put("w", [32]), "w is [32], not a number"),
        (put("k1", HUGE), "k1 is 1000"),
        (put("near", 1e300), "near is 1e+300"),
        (put("far", 1e-12), "far is 1e-12 where only more than 0"),
        (put("camera_model", "x" * 10_000), "camera_model 'xxx"),
        (put("camera_model", ["OPENCV"] * 10_000), "camera_model ['OPENCV', "),
        (put("frames", {"0": 1}), "has no list of frames"),
        (put("frames", "abc"), "has no list of frames"),
        (put("frames", [[]]), "frame 0 has no file_path"),
        (at(0, 3, 1e300), "transform_matrix has entries beyond ±1e+09"),
        (at(0, 0, 1e300), "transform_matrix has entries beyond ±1e+09"),
        (at(0, 0, HUGE), "transform_matrix is not a 4×4 matrix of numbers"),
        (at(0, 0, {}), "transform_matrix is not a 4×4 matrix of numbers"),
        (at(3, 3, 1e300), "its last row is not 0 0 0 1"),
        (in_frame("file_path", "x" * 5000), "the path is too long for a file"),
        (in_frame("file_path", "/".join("x" * 2000)), "the path is too long for a file"),
        (in_frame("file_path", "a\nb.png"), "a character that no file name can have"),
        (in_frame("file_path", "a\0b.png"), "a character that no file name can have"),
        (in_frame("file_path", "\ud800.png"), "a character that no file name can have"),
        (in_frame("file_path", "C:\\..\\..\\x.png"), "must lie in the scene's folder"),
        (in_frame("file_path", 3), "frame 2 has no file_path"),
        (in_frame("file_path", ""), "must lie in the scene's folder"),
    ],
)
def test_camera_files_with_what_no_camera_has(root: Path, capsys, edit: Callable[[Any], None], words: str) -> None:
    """Overflow ends in a traceback, or in rays of NaN that train to nothing."""
    edit_json(placed(root, DESK) / CAMERAS[DESK], edit)
    assert words in refused(DESK, capsys)


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"w": ' + b"9" * 10_000 + b"}", b"\xff\xfe", b"", b"null"])
def test_what_is_no_camera_file(root: Path, capsys, content: bytes) -> None:
    """The json module has an error of its own for each of these."""
    (placed(root, DESK) / CAMERAS[DESK]).write_bytes(content)
    assert "transforms.json" in refused(DESK, capsys)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (14, 1e300, "row 4: height, width and focal length must be above 0, and no more than 1e+09"),
        (14, -700.0, "row 4: height, width and focal length"),
        (14, np.nan, "row 4: height, width and focal length"),
        (4, 1e-300, "row 4: height, width and focal length"),
        (16, 1e300, "row 4: bounds "),
        (15, 1e-300, "row 4: bounds 1e-300 and "),
        (15, -1.0, "row 4: bounds -1 and "),
        (15, np.nan, "row 4: bounds nan and "),
        (3, 1e300, "row 4: the pose has entries beyond ±1e+09"),
        (3, np.nan, "row 4: the pose has entries that are not finite"),
        (0, 0.9, "row 4: the pose is not rigid"),
    ],
)
def test_tables_with_what_no_camera_has(root: Path, capsys, column: int, value: float, words: str) -> None:
    path = placed(root, FERN) / CAMERAS[FERN]
    table = np.load(path)
    table[4, column] = value
    np.save(path, table)
    assert words in refused(FERN, capsys)


def test_near_may_not_be_far(root: Path, capsys) -> None:
    path = placed(root, FERN) / CAMERAS[FERN]
    table = np.load(path)
    table[0, 15:] = 5.0
    np.save(path, table)
    assert "row 0: bounds 5 and 5, where 0 < near < far" in refused(FERN, capsys)


def header(text: str) -> bytes:
    body = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 no archive",
        b"PK\x05\x06" + bytes(18),
        b"\x80\x04N.",
        b"",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 17), }"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 40 + ", 17), }"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-9, 17), }"),
        header("{'descr': 'O', 'fortran_order': False, 'shape': (9, 17), }"),
        header("{'descr': '<f8', 'fortran_order': 0, 'shape': (9, 17), }"),
        header("{'descr': ('<f8', (2,)), 'fortran_order': False, 'shape': (9, 17), }"),
        header("(" * 5000),
        header("{'descr': \"'"),
        header("__import__('os').system('true')"),
    ],
)
def test_what_is_no_table(root: Path, capsys, content: bytes) -> None:
    (placed(root, FERN) / CAMERAS[FERN]).write_bytes(content)
    assert "poses_bounds.npy" in refused(FERN, capsys)
    gc.collect()  # a file that was left open is told of now, and not in the next test


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(0, 500), place=st.integers(0, 300), byte=st.integers(0, 255))
def test_a_table_with_any_byte_changed_is_read_or_refused(tmp_path: Path, cut: int, place: int, byte: int) -> None:
    """numpy reads the header as Python source, and has seven kinds of error for what it finds there."""
    folder = tmp_path / "root" / FOLDERS[FERN]
    if not folder.exists():
        write_balls(folder, "llff")
    good = tmp_path / "table.npy"
    if not good.exists():
        shutil.copy(folder / CAMERAS[FERN], good)
    content = bytearray(good.read_bytes())
    content[place] = byte
    (folder / CAMERAS[FERN]).write_bytes(content[: len(content) - cut if cut < 50 else len(content)])
    try:
        load_scene(resolve(FERN, "real"), SceneOptions())
    except DataError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("size", [(9_000, 8_000), (10_000, 10_000), (20_000, 20_000)])
def test_an_image_that_unpacks_to_more_than_a_photograph(root: Path, capsys, size: tuple[int, int]) -> None:
    """A bomb of some kilobytes; Pillow warns of one size, in two more lines, and refuses another."""
    folder = placed(root, DESK)
    Image.new("1", size).save(folder / "images" / "0003.png")
    assert "0003.png" in refused(DESK, capsys)


def test_only_decoders_of_photographs_are_let_near_a_file(root: Path, capsys) -> None:
    """Pillow has some forty, one of which runs a program (EPS); the suffix does not choose among them."""
    folder = placed(root, DESK)
    path = folder / "images" / "0003.png"
    Image.new("RGB", (SIZE, SIZE)).save(path, "EPS")
    assert "0003.png is not an image" in refused(DESK, capsys)
    Image.new("RGB", (SIZE, SIZE)).save(path, "TIFF")
    assert "0003.png is not an image" in refused(DESK, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_entered(root: Path, capsys) -> None:
    folder = placed(root, LEGO)
    (folder / "train").chmod(0)
    try:
        assert "train" in refused(LEGO, capsys)
    finally:
        (folder / "train").chmod(0o755)
