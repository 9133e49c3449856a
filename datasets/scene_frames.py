"""Camera files in JSON (`transforms*.json`), as Blender scenes and captures have them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np

from datasets.errors import DataError
from datasets.manifest import read_file
from datasets.poses import RIGID, rigid_fault
from datasets.scene_images import SUFFIXES, inspect_images

_MOST_BYTES = 1 << 28  # of a camera file


@dataclass(frozen=True)
class Frame:
    """One entry of the list `frames`: where the image should be, its pose (3, 4) float64, and the entry itself."""

    path: Path
    pose: np.ndarray
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Transforms:
    """A camera file: its frames in the file's order (at least one), and what it says of all of them."""

    path: Path
    frames: tuple[Frame, ...]
    fields: Mapping[str, Any]
    remedy: str

    def fail(self, what: str) -> NoReturn:
        """Raise DataError about this file."""
        _fail(self.path, what, self.remedy)

    def number(self, key: str, default: float | None = None) -> float:
        """A number that the file gives, or the default. Raises DataError if it is neither there nor finite."""
        value = self.fields.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.fail(f"has no {key}" if value is None else f"{key} is {value!r}, not a number")
        return float(value)

    def positive(self, key: str, default: float | None = None) -> float:
        """As `number`, above 0."""
        value = self.number(key, default)
        if value <= 0:
            self.fail(f"{key} is {value:g} where only more than 0 makes sense")
        return value

    def focal(self, key: str, size: int) -> float:
        """Focal length in pixels from the angle of view called `key`, across `size` pixels."""
        angle = self.positive(key)
        if angle >= math.pi:
            self.fail(f"{key} is {angle:g} where an angle of view, in radians, is below π")
        return 0.5 * size / math.tan(0.5 * angle)


def read_transforms(path: Path, remedy: str) -> Transforms:
    """Read and check a camera file; looks at no image.

    Raises DataError, ending in `remedy`, if the file is missing or no JSON (with the line), or naming the frame that
    has no image path, one outside the folder, or a matrix that is not a rigid motion.
    """
    content = _read_json(path, remedy)
    entries = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        _fail(path, "has no list of frames, or an empty one", remedy)
    frames = tuple(_frame(path, index, entry, remedy) for index, entry in enumerate(entries))
    return Transforms(path, frames, content, remedy)


def check_transforms(path: Path, remedy: str) -> None:
    """Look at a camera file and at the headers of all its images; errors as `read_transforms`, `inspect_images`."""
    inspect_images([frame.path for frame in read_transforms(path, remedy).frames], remedy)


def _read_json(path: Path, remedy: str) -> Any:
    if path.is_file() and path.stat().st_size > _MOST_BYTES:
        _fail(path, "is too large for a camera file", remedy)
    try:
        return json.loads(read_file(path, remedy))
    except json.JSONDecodeError as error:
        _fail(path, f"line {error.lineno}: no JSON ({error.msg})", remedy, error)
    except (UnicodeDecodeError, RecursionError) as error:
        _fail(path, "is no JSON", remedy, error)


def _frame(path: Path, index: int, entry: Any, remedy: str) -> Frame:
    where = f"frame {index}"
    if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
        _fail(path, f"{where} has no file_path", remedy)
    # Captures made on Windows separate folders by backslashes.
    relative = PurePosixPath(entry["file_path"].replace("\\", "/"))
    where = f"{where} ({relative})"
    if relative.is_absolute() or ".." in relative.parts or not relative.name or "\0" in str(relative):
        _fail(path, f"{where}: the image must lie in the scene's folder, its path be relative to it", remedy)
    return Frame(_image_path(path.parent, relative), _pose(path, where, entry, remedy), entry)


def _image_path(folder: Path, relative: PurePosixPath) -> Path:
    """Where the image is; Blender's scripts leave the suffix out."""
    if relative.suffix.lower() in SUFFIXES:
        return folder / relative
    places = [folder / f"{relative}{suffix}" for suffix in SUFFIXES]
    return next((place for place in places if place.is_file()), places[0])


def _pose(path: Path, where: str, entry: Mapping[str, Any], remedy: str) -> np.ndarray:
    try:
        matrix = np.array(entry.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)):
        _fail(path, f"{where}: transform_matrix is not a 4×4 matrix of numbers", remedy)
    fault = rigid_fault(matrix[:3])
    if fault is None and not np.allclose(matrix[3:], [0, 0, 0, 1], atol=RIGID):
        fault = "is not rigid: its last row is not 0 0 0 1"
    if fault:
        _fail(path, f"{where}: transform_matrix {fault}", remedy)
    return matrix[:3]


def _fail(path: Path, what: str, remedy: str, cause: Exception | None = None) -> NoReturn:
    raise DataError(f"{path}: {what}; {remedy}") from cause
