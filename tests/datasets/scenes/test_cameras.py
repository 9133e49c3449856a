"""Rays and coordinates against formulas written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datasets.scenes.cameras import Intrinsics, pixel_rays, to_ndc
from datasets.scenes.poses import focus_point, look_at
from tests.helpers.scene_samples import distance_to_rays, project

LENS = Intrinsics(fx=50.0, fy=40.0, cx=17.0, cy=11.0, height=24, width=32)


def some_poses(n: int, seed: int = 0) -> np.ndarray:
    """(n, 3, 4): cameras around the origin."""
    places = 4 * np.random.default_rng(seed).normal(size=(n, 3))
    return np.stack([look_at(place, np.array([0.1, -0.2, 0.3]), np.array([0.0, 0.0, 1.0])) for place in places])


def test_the_ray_of_a_projected_point_passes_through_the_point() -> None:
    """Without it a swapped row and column, a flipped axis or half a pixel would blur every scene a little."""
    rng = np.random.default_rng(1)
    poses, points = some_poses(20), rng.normal(size=(20, 3)) * 0.5
    pixels = np.concatenate([project(LENS, pose, point[None]) for pose, point in zip(poses, points, strict=True)])
    origins, directions = pixel_rays(LENS, torch.from_numpy(poses), torch.from_numpy(pixels))
    assert distance_to_rays(points, origins, directions).max() < 1e-9
    # t is the depth along the view axis, which is what near and far bound.
    depths = -np.einsum("ni,ni->n", points - poses[:, :, 3], poses[:, :, 2])
    assert np.allclose(origins.numpy() + depths[:, None] * directions.numpy(), points)


def test_one_pose_for_all_pixels_equals_a_pose_for_each() -> None:
    pose = torch.from_numpy(some_poses(1)[0]).float()
    pixels = torch.tensor([[0, 0], [3, 7], [23, 31]])
    one, each = pixel_rays(LENS, pose, pixels), pixel_rays(LENS, pose.expand(3, 3, 4), pixels)
    assert all(torch.equal(left, right) for left, right in zip(one, each, strict=True))
    assert one[0].shape == one[1].shape == (3, 3) and one[0].dtype == torch.float32


def test_the_upper_left_pixel_looks_left_and_up() -> None:
    """The camera of the identity looks along −z, with x to the right: absolute directions, not only consistent ones."""
    _, directions = pixel_rays(LENS, torch.eye(4)[:3], torch.tensor([[0, 0]]))
    assert torch.allclose(directions, torch.tensor([[-16.5 / 50, 10.5 / 40, -1.0]]))


@pytest.mark.parametrize("factor", [2, 5])
def test_a_downscaled_pixel_looks_where_its_block_did(factor: int) -> None:
    """Without it downsized images would be seen from shifted rays, also if a rest of columns is cut off."""
    pose = torch.eye(4, dtype=torch.float64)[:3]
    block = torch.cartesian_prod(torch.arange(factor), torch.arange(factor)) + factor * torch.tensor([2, 3])
    small = LENS.downscaled(factor)
    _, directions = pixel_rays(LENS, pose, block)
    _, direction = pixel_rays(small, pose, torch.tensor([[2, 3]]))
    assert torch.allclose(direction[0], directions.mean(dim=0))
    assert (small.height, small.width) == (24 // factor, 32 // factor)


def test_ndc_is_the_perspective_projection_of_points_on_the_ray() -> None:
    """NeRF, appendix C: x' = −(2 fx / W) x / z, z' = 1 + 2 n / z, and t' = 1 − z_near / z along the ray."""
    rng, near = np.random.default_rng(2), 1.5
    origins = torch.from_numpy(rng.normal(size=(30, 3)) * 0.3)
    directions = torch.from_numpy(np.concatenate([rng.normal(size=(30, 2)) * 0.3, -rng.uniform(0.5, 2, (30, 1))], 1))
    depths = torch.from_numpy(rng.uniform(2, 40, 30))
    points = origins + ((-depths - origins[:, 2]) / directions[:, 2])[:, None] * directions
    x, y, z = points.unbind(1)
    expected = torch.stack([-2 * 50 / 32 * x / z, -2 * 40 / 24 * y / z, 1 + 2 * near / z], dim=1)
    start, towards = to_ndc(origins, directions, LENS, near)
    reached = start + (1 - near / depths)[:, None] * towards
    assert torch.allclose(reached, expected)
    assert torch.allclose(start[:, 2], torch.tensor(-1.0).double())


def test_look_at_is_a_rotation_that_faces_its_target() -> None:
    pose = look_at(np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    assert np.allclose(pose[:, :3].T @ pose[:, :3], np.eye(3)) and np.linalg.det(pose[:, :3]) > 0
    assert np.allclose(-pose[:, 2], np.array([-3, 0, -2]) / np.sqrt(13))
    assert pose[2, 1] > 0 and abs(pose[2, 0]) < 1e-12
    with pytest.raises(ValueError, match="no direction"):
        look_at(np.zeros(3), np.zeros(3), np.ones(3))


def test_focus_point() -> None:
    """Cameras that look at one point find it; parallel ones give a finite point instead of an error."""
    assert np.allclose(focus_point(some_poses(5)), [0.1, -0.2, 0.3])
    parallel = np.stack([np.eye(4)[:3]] * 3)
    parallel[:, 0, 3] = [0, 1, 2]
    assert np.allclose(focus_point(parallel), [1, 0, 0])
