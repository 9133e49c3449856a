"""Camera files in JSON (`transforms*.json`), as Blender scenes and captures have them."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np

from datasets.core.errors import DataError, shown
from datasets.core.files import RepeatedKeyError, is_file, obstacle, parse_json, read_file
from datasets.scenes.images import SUFFIXES, check_inside
from datasets.scenes.plan import Shots
from datasets.scenes.poses import LARGEST, RIGID, SMALLEST, focus_of, rigid_fault

log = logging.getLogger(__name__)

_MOST_BYTES = 1 << 28  # of a camera file
_LONGEST_PATH = 1024  # bytes of an image's path; systems take four times as many for the whole of it
_LONGEST_NAME = 255

# A camera's axes in the columns of its matrix. Converters of structure from motion write the latter, if nobody turns
# them: its y points down and its z forward.
_TURNS = {"opengl": (1.0, 1.0, 1.0), "opencv": (1.0, -1.0, -1.0)}
_BEHIND = 0.1  # of the mean distance: how far behind the cameras their view axes must meet to be taken for wrong
_APART = 0.2  # of that distance: how far apart cameras must stand for the point where their axes meet to say something


@dataclass(frozen=True)
class Frame:
    """One entry of the list `frames`: where the image should be, its pose (3, 4) float64, and the entry itself."""

    path: Path
    pose: np.ndarray
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Transforms:
    """A camera file: its frames in the file's order (at least one), and what it says of all of them.

    The key camera_axes says which axes the matrices in the file have: opengl, as in `scenes.cameras`, or opencv (y
    down, z forward). The frames' poses are those of `scenes.cameras` either way.
    """

    path: Path
    frames: tuple[Frame, ...]
    fields: Mapping[str, Any]
    fix_hint: str

    def fail(self, what: str) -> NoReturn:
        """Raise DataError about this file."""
        _fail(self.path, what, self.fix_hint)

    def number(self, key: str, default: float | None = None, *, frame: int | None = None) -> float:
        """A number that the file gives, or the default; of all frames, or what a frame has of its own.

        Raises DataError if it is neither there nor a number, or one that no camera has (beyond ±1e9): in single
        precision it would overflow.
        """
        fields, where = (self.fields, "") if frame is None else (self.frames[frame].fields, f"frame {frame}: ")
        value = fields.get(key, default)
        if value is None:
            self.fail(f"{where}has no {key}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            self.fail(f"{where}{key} is {shown(value)}, not a number")
        if not -LARGEST <= value <= LARGEST:
            self.fail(f"{where}{key} is {shown(value)}, and no camera has a number beyond ±{LARGEST:g}")
        return float(value)

    def positive(self, key: str, default: float | None = None) -> float:
        """As `number`, above 0 (1e-9 or more)."""
        value = self.number(key, default)
        if value < SMALLEST:
            self.fail(f"{key} is {value:g} where only more than 0 makes sense")
        return value

    def focal(self, key: str, size: int) -> float:
        """Focal length in pixels from the angle of view called `key`, across `size` pixels."""
        angle = self.positive(key)
        if angle >= math.pi:
            self.fail(f"{key} is {angle:g} where an angle of view, in radians, is below π")
        return 0.5 * size / math.tan(0.5 * angle)

    def check_axes(self, frames: Sequence[Frame]) -> None:
        """Raise DataError if these cameras look away from what they have in common, as with another tool's axes.

        Poses whose y points down and whose z points forward are valid rotations and train, to a blur. But the point
        nearest to all view axes then lies behind the cameras. That proves nothing, and is a warning only, where the
        axes are almost parallel, as in forward-facing photographs, and where the file has camera_axes: cameras may
        look outwards.
        """
        focus = focus_of(np.stack([frame.pose for frame in frames]))
        if focus.depth >= -_BEHIND * focus.distance:
            return
        turned = '"camera_axes": "opencv"'
        if axes := self.fields.get("camera_axes"):
            log.warning("%s: with camera_axes %s the view axes meet behind the cameras", self.path, axes)
        elif focus.spread < _APART * focus.distance:
            log.warning(
                "%s: the view axes are almost parallel, and meet behind the cameras; if poses have y down and z "
                "forward, add %s to the file",
                self.path,
                turned,
            )
        else:
            raise DataError(
                f"{self.path}: the view axes meet behind the cameras, so the poses seem to have y down and z forward; "
                f'add {turned} to the file, and they are turned when it is read ("opengl" if the cameras do look '
                "outwards)"
            )

    def distinct_images(self) -> dict[str, int]:
        """The number of each image's frame, by the real path of the image.

        Raises DataError if two frames are of one image: one may become a training, the other a test view.
        """
        first: dict[str, int] = {}
        for number, frame in enumerate(self.frames):
            if (other := first.setdefault(os.path.realpath(frame.path), number)) != number:
                self.fail(f"frames {other} and {number} are of one image, {frame.path.name}")
        return first

    def shots(self, frames: Sequence[Frame]) -> Shots:
        """Some of the frames, for a plan."""
        names = tuple(frame.path.relative_to(self.path.parent).as_posix() for frame in frames)
        poses = np.stack([frame.pose for frame in frames]) if frames else np.empty((0, 3, 4))
        return Shots(tuple(frame.path for frame in frames), poses, names)


def read_transforms(path: Path, fix_hint: str) -> Transforms:
    """Read and check a camera file; opens no image.

    Raises DataError, ending in `fix_hint`, if the file is missing, outside its folder, no JSON (with the line) or one
    with a key twice, or naming the frame that has no image path, one outside the folder, an image in a format that is
    not read, or a matrix that is not a rigid motion.
    """
    check_inside(path, path.parent, fix_hint)
    content = _read_json(path, fix_hint)
    entries = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        _fail(path, "has no list of frames, or an empty one", fix_hint)
    axes = content.get("camera_axes", "opengl")
    if not isinstance(axes, str) or axes not in _TURNS:
        _fail(path, f"camera_axes is {shown(axes)}, not {' or '.join(_TURNS)}", fix_hint)
    turn = np.array([*_TURNS[axes], 1.0])  # of the columns
    frames = tuple(_frame(path, index, entry, turn, fix_hint) for index, entry in enumerate(entries))
    return Transforms(path, frames, content, fix_hint)


def _read_json(path: Path, fix_hint: str) -> Any:
    if path.is_file() and path.stat().st_size > _MOST_BYTES:
        _fail(path, "is too large for a camera file", fix_hint)
    content = read_file(path, fix_hint)
    try:
        return parse_json(content)
    except json.JSONDecodeError as error:
        _fail(path, f"line {error.lineno}: no JSON ({error.msg})", fix_hint, error)
    except RepeatedKeyError as error:
        _fail(path, f"has {error}", fix_hint, error)
    except (ValueError, RecursionError) as error:  # not UTF-8, a number of thousands of digits, or too many brackets
        _fail(path, "is no JSON", fix_hint, error)


def _frame(path: Path, index: int, entry: Any, turn: np.ndarray, fix_hint: str) -> Frame:
    where = f"frame {index}"
    if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
        _fail(path, f"{where} has no file_path", fix_hint)
    # Captures made on Windows separate folders by backslashes.
    relative = PurePosixPath(entry["file_path"].replace("\\", "/"))
    where = f"{where} ({shown(str(relative))[1:-1]})"
    if fault := _path_fault(relative):
        _fail(path, f"{where}: {fault}", fix_hint)
    image = _image_path(path.parent, relative)
    if image.suffix.lower() not in SUFFIXES and is_file(image):
        _fail(path, f"{where}: the format of this image is not read; convert the images to PNG or JPEG", fix_hint)
    return Frame(image, _pose(path, where, entry, fix_hint) * turn, entry)


def _path_fault(relative: PurePosixPath) -> str | None:
    """The reason why this cannot be the path of an image in the scene's folder; None if it may be one."""
    if relative.is_absolute() or ".." in relative.parts or not relative.name:
        return "the image must lie in the scene's folder, its path be relative to it"
    try:
        sizes = [len(part.encode()) for part in relative.parts]
    except UnicodeEncodeError:
        return "the path has a character that no file name can have"
    if any(ord(character) < 32 for character in str(relative)):
        return "the path has a character that no file name can have"
    if max(sizes) > _LONGEST_NAME - len(".jpeg") or sum(sizes) + len(sizes) > _LONGEST_PATH:
        return "the path is too long for a file"
    return None


def _image_path(folder: Path, relative: PurePosixPath) -> Path:
    """Where the image is, or should be; Blender's scripts leave the suffix out."""
    written = folder / relative
    if relative.suffix.lower() in SUFFIXES:
        return written
    places = [folder / f"{relative}{suffix}" for suffix in SUFFIXES]
    absent = written if relative.suffix or is_file(written) else places[0]
    return next(filter(is_file, places), None) or next(filter(obstacle, places), absent)


def _pose(path: Path, where: str, entry: Mapping[str, Any], fix_hint: str) -> np.ndarray:
    try:
        matrix = np.array(entry.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)):
        _fail(path, f"{where}: transform_matrix is not a 4×4 matrix of numbers", fix_hint)
    fault = rigid_fault(matrix[:3])
    if fault is None and not np.allclose(matrix[3:], [0, 0, 0, 1], atol=RIGID):
        fault = "is not rigid: its last row is not 0 0 0 1"
    if fault:
        _fail(path, f"{where}: transform_matrix {fault}", fix_hint)
    return matrix[:3]


def _fail(path: Path, what: str, fix_hint: str, cause: Exception | None = None) -> NoReturn:
    raise DataError(f"{path}: {what}; {fix_hint}") from cause
