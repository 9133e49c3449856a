"""Scenes from outside that look right: numbers that no camera has, files that are none."""

from __future__ import annotations

import gc
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets.core.errors import DataError
from datasets.registry import resolve
from datasets.scenes.load import SceneOptions, load_scene
from tests.datasets.scenes.foreign import CAMERAS, DESK, FERN, FOLDERS, LEGO, placed, refused
from tests.helpers.scene_samples import SIZE, edit_json, write_balls

pytestmark = pytest.mark.usefixtures("root")


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
        (put("fl_x", HUGE), "fl_x is a number of more than 40 digits"),
        (put("fl_x", math.inf), "fl_x is inf, and no camera"),
        (put("fl_x", math.nan), "fl_x is nan, not a number"),
        (put("fl_x", 1e-300), "fl_x is 1e-300 where only more than 0 makes sense"),
        (put("fl_y", -5), "fl_y is -5 where only more than 0"),
        (put("cx", -HUGE), "cx is a number of more than 40 digits"),
        (put("w", HUGE), "w is a number of more than 40 digits"),
        (put("w", [32]), "w is [32], not a number"),
        (put("k1", HUGE), "k1 is a number of more than 40 digits"),
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
        (lambda content: content["frames"].append(content["frames"][1]), "frames 1 and "),
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


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
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
