"""Geometry of camera poses, in numpy and double precision: how loaders and camera paths make and judge them.

A pose is a matrix (3, 4) as in `scenes.cameras`: the right, upward and backward axis and the position, as columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# The range of lengths, in any unit. Beyond it squares leave the range of single precision.
SMALLEST, LARGEST = 1e-9, 1e9
RIGID = 1e-3  # how far a rotation's entries may be off: files are written in single precision or less


def rigid_fault(pose: np.ndarray) -> str | None:
    """The reason why a pose (3, 4) is no rotation and position; None if it is one."""
    if not np.isfinite(pose).all():
        return "has entries that are not finite"
    if np.abs(pose).max() > LARGEST:
        return f"has entries beyond ±{LARGEST:g}"
    rotation = pose[:, :3]
    off = np.abs(rotation.T @ rotation - np.eye(3)).max()
    if off > RIGID:
        return f"is not rigid: its axes are not of length 1 at right angles (off by {off:.2g})"
    if np.linalg.det(rotation) < 0:
        return "is not rigid: it mirrors"
    return None


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The pose (3, 4) float64 of a camera at `position` that looks at `target`, with `up` upwards in its image.

    All three are (3,). Raises ValueError if the camera stands in its target or looks along `up`.
    """
    back = unit(position - target)
    right = unit(np.cross(up, back))
    return np.stack([right, np.cross(back, right), back, position], axis=1)


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector (3,) at length 1. Raises ValueError if it has no direction."""
    length = float(np.linalg.norm(vector))
    if not length > 1e-12:
        raise ValueError("a vector of length 0 has no direction")
    return vector / length


def focus_point(poses: np.ndarray) -> np.ndarray:
    """(3,): the point nearest to all view axes of the poses (n, 3, 4), in the sense of least squares.

    With parallel axes, where there are many such points, the one nearest to the cameras' mean position.
    """
    centre = poses[:, :, 3].mean(axis=0)
    across = np.eye(3) - poses[:, :, 2:3] * poses[:, None, :, 2]  # (n, 3, 3), projects out a view axis
    offsets = np.einsum("nij,nj->i", across, poses[:, :, 3] - centre)
    return centre + np.linalg.lstsq(across.sum(axis=0), offsets, rcond=1e-9)[0]


class Focus(NamedTuple):
    """Where the view axes of some cameras meet, as seen by them, in the unit of their positions.

    distance: of that point from the cameras, on average. depth: the same along their view axes; below 0, it lies behind
    them. spread: of the cameras about their mean position, root mean square.
    """

    distance: float
    depth: float
    spread: float


def focus_of(poses: np.ndarray) -> Focus:
    """The focus of the poses (n, 3, 4)."""
    positions = poses[:, :, 3]
    offsets = focus_point(poses) - positions
    depths = -np.einsum("ni,ni->n", offsets, poses[:, :, 2])
    from_mean = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    return Focus(
        float(np.linalg.norm(offsets, axis=1).mean()), float(depths.mean()), float(np.sqrt((from_mean**2).mean()))
    )


def mean_pose(poses: np.ndarray) -> np.ndarray:
    """(3, 4): a camera in the mean position of those of poses (n, 3, 4), with their mean view axis and upward side.

    Raises ValueError if the axes point all around, so that they have no mean.
    """
    position = poses[:, :, 3].mean(axis=0)
    back, up = poses[:, :, 2].sum(axis=0), poses[:, :, 1].sum(axis=0)
    return look_at(position, position - back, up)
