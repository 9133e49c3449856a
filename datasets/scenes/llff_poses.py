"""`poses_bounds.npy`, the cameras of an LLFF scene, and its coordinates as NeRF uses them.

Mildenhall et al., "Local light field fusion", 2019. A row holds, for one image, a 3 × 5 matrix (row by row) and the
nearest and farthest depth. The matrix's columns: the camera's down, right and backward axes, its position, and
(height, width, focal length) of the full-size image in pixels.
"""

from __future__ import annotations

import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.lib.format import open_memmap

from datasets.core.errors import DataError
from datasets.core.files import obstacle
from datasets.scenes.images import check_inside
from datasets.scenes.poses import LARGEST, SMALLEST, mean_pose, rigid_fault

_COLUMNS = 17
_MOST_BYTES = 1 << 26
# What numpy raises for files that are damaged, or not what they claim to be; it reads the header as Python source, and
# takes what begins like a zip archive for one.
_BAD_ARRAY = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
_NEAREST = 0.75  # of the nearest content's depth is where the near plane comes to lie, at depth 1


@dataclass(frozen=True)
class PosesBounds:
    """poses: (n, 3, 4) float64, axes as in `scenes.cameras`. bounds: (n, 2) float64, nearest and farthest depth.

    height, width, focal: of the full-size images, in pixels.
    """

    poses: np.ndarray
    bounds: np.ndarray
    height: float
    width: float
    focal: float


def read_poses_bounds(path: Path, fix_hint: str) -> PosesBounds:
    """Read and check the file. Raises DataError, ending in `fix_hint`, that names the row (from 0) if one is bad."""
    check_inside(path, path.parent, fix_hint)
    table = _read_table(path, fix_hint)
    matrices, bounds = table[:, :15].reshape(-1, 3, 5), table[:, 15:]
    down, right, back, position, size = np.moveaxis(matrices, 2, 0)
    poses = np.stack([right, -down, back, position], axis=2)
    for row, pose in enumerate(poses):
        if fault := rigid_fault(pose):
            _fail(path, f"row {row}: the pose {fault}", fix_hint)
        near, far = bounds[row]
        if not SMALLEST <= near < far <= LARGEST:
            what = f"bounds {near:g} and {far:g}, where 0 < near < far is needed (and no more than {LARGEST:g})"
            _fail(path, f"row {row}: {what}", fix_hint)
        if not ((size[row] >= SMALLEST) & (size[row] <= LARGEST)).all():
            what = f"must be above 0, and no more than {LARGEST:g}"
            _fail(path, f"row {row}: height, width and focal length {what}", fix_hint)
        if not np.allclose(size[row], size[0]):
            _fail(path, f"row {row}: another image size or focal length than row 0; one camera is supported", fix_hint)
    height, width, focal = map(float, size[0])
    return PosesBounds(poses, bounds, height, width, focal)


def normalised(cameras: PosesBounds) -> tuple[np.ndarray, tuple[float, float]]:
    """The poses (n, 3, 4) in the scene's own coordinates, and the nearest and farthest depth in them.

    The mean camera comes to stand in the origin and looks along −z; lengths are scaled so that the nearest content
    is at depth 1 / 0.75, that is, behind the plane at depth 1 that NDC needs (as in NeRF's experiments).
    """
    scale = 1 / (_NEAREST * float(cameras.bounds.min()))
    mean = mean_pose(cameras.poses)
    rotation, position = mean[:, :3], mean[:, 3:]
    moved = np.concatenate([cameras.poses[:, :, :3], cameras.poses[:, :, 3:] - position], axis=2)
    moved = rotation.T @ moved
    moved[:, :, 3] *= scale
    return moved, (scale * float(cameras.bounds.min()), scale * float(cameras.bounds.max()))


def _read_table(path: Path, fix_hint: str) -> np.ndarray:
    """(n, 17) float64."""
    if what := obstacle(path):
        raise DataError(f"{path} {what}; {fix_hint}")
    try:
        if path.stat().st_size > _MOST_BYTES:
            _fail(path, "is too large for a table of cameras", fix_hint)
        # Mapped, so that a header cannot ask for more memory than there are bytes in the file. Not np.load, which
        # also takes archives and leaves a damaged one open.
        table = open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {fix_hint}") from error
    except _BAD_ARRAY as error:
        raise DataError(f"{path}: is truncated or no array in numpy's format; {fix_hint}") from error
    if table.dtype.kind not in "fiu":
        _fail(path, "does not hold an array of numbers", fix_hint)
    if table.ndim != 2 or table.shape[1] != _COLUMNS or not len(table):
        _fail(path, f"has the shape {table.shape} where (views, {_COLUMNS}) is expected", fix_hint)
    with np.errstate(over="ignore"):  # of longer types; what becomes infinite is found by row
        return np.array(table, dtype=np.float64)


def _fail(path: Path, what: str, fix_hint: str) -> NoReturn:
    raise DataError(f"{path}: {what}; {fix_hint}")
