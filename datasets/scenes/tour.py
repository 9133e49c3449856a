"""Camera paths for renderings that move: around an object, or a spiral in front of a forward-facing scene."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from datasets.scenes.poses import focus_point, look_at, mean_pose, unit
from datasets.scenes.types import Scene

_FORESHORTENING = 0.25  # weight of the nearest content, in disparity, for the depth that a spiral turns about
_TURNS = 2  # of the spiral
_REACH = 90  # percentile of the cameras' displacements that the spiral reaches: views are never far from known ones


def turn_around_poses(scene: Scene, n: int) -> Tensor:
    """(n, 3, 4) float32: a closed path of camera poses, derived from the training cameras.

    Forward-facing scenes: two turns of a spiral about the mean camera, looking at one point in the scene (as in
    NeRF's videos). Others: an orbit about the point that the cameras look at, at their median distance and height.
    """
    poses = scene.train.poses.numpy().astype(np.float64)
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    path = _spiral(poses, angles, scene.depths) if scene.ndc else _orbit(poses, angles)
    return torch.from_numpy(path.astype(np.float32))


def _spiral(poses: np.ndarray, angles: np.ndarray, depths: tuple[float, float]) -> np.ndarray:
    mean = mean_pose(poses)
    rotation, centre = mean[:, :3], mean[:, 3]
    radii = np.percentile(np.abs((poses[:, :, 3] - centre) @ rotation), _REACH, axis=0)
    # The mean in disparity: near content moves most in the image, so the point is closer to it.
    nearest, farthest = depths
    depth = 1 / (_FORESHORTENING / nearest + (1 - _FORESHORTENING) / farthest)
    target = centre - depth * rotation[:, 2]
    turns = _TURNS * angles
    offsets = radii * np.stack([np.cos(turns), -np.sin(turns), -np.sin(turns / 2)], axis=1)
    return np.stack([look_at(position, target, rotation[:, 1]) for position in centre + offsets @ rotation.T])


def _orbit(poses: np.ndarray, angles: np.ndarray) -> np.ndarray:
    focus = focus_point(poses)
    # Around an object the sideways parts of the cameras' upward axes cancel.
    up = unit(poses[:, :, 1].mean(axis=0))
    offsets = poses[:, :, 3] - focus
    heights = offsets @ up
    distances = np.linalg.norm(offsets, axis=1)
    distance = float(np.median(distances))
    # Not from straight above, where `up` would have no place in the image.
    height = float(np.clip(np.median(heights / distances), -0.9, 0.9)) * distance
    first = unit(offsets[0] - heights[0] * up) if abs(heights[0]) < 0.999 * distances[0] else _across(up)
    second = np.cross(up, first)
    radius = np.sqrt(distance**2 - height**2)
    circle = radius * (np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second)
    return np.stack([look_at(focus + offset + height * up, focus, up) for offset in circle])


def _across(axis: np.ndarray) -> np.ndarray:
    """Any direction at right angles to the axis."""
    return unit(np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))]))
