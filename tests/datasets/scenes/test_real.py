"""The real Lego and Fern, where they are: geometry that only correct cameras can explain."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from datasets.registry import resolve
from datasets.scenes.cameras import pixel_rays, to_ndc
from datasets.scenes.load import Scene, SceneOptions, composite, load_scene
from tests.helpers.scene_samples import project


def real_scene(name: str, options: SceneOptions) -> Scene:
    if not os.environ.get("DFA_DATA_DIR"):
        pytest.skip("DFA_DATA_DIR is not set: no real scenes to look at")
    source = resolve(name, "auto")
    if source.kind != "real":
        pytest.skip(f"DFA_DATA_DIR has no {name}")
    return load_scene(source, options)


@pytest.fixture(scope="module")
def lego() -> Scene:
    return real_scene("nerf_synthetic/lego", SceneOptions(downscale=4, every_test_view=25))


@pytest.fixture(scope="module")
def fern() -> Scene:
    return real_scene("llff_real/fern", SceneOptions(llff_factor=8, downscale=2))


def test_lego_s_training_silhouettes_predict_those_of_the_test_views(lego: Scene) -> None:
    """A wrong axis leaves nothing, or a blob, of the body that all training silhouettes allow (its visual hull)."""
    axis = np.linspace(-1.25, 1.25, 48)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.ones(len(grid), dtype=bool)
    for image, pose in zip(lego.train.images, lego.train.poses, strict=True):
        inside[inside] = seen(lego, image, pose, grid[inside]) > 0
    hull = grid[inside]
    assert 0.01 < inside.mean() < 0.2
    for image, pose in zip(lego.test.images, lego.test.poses, strict=True):
        assert (seen(lego, image, pose, hull) > 0).mean() > 0.95
        covered = np.zeros(image.shape[:2], dtype=bool)
        covered[pixels_of(lego, pose, hull)] = True
        mask = image[..., 3].numpy() > 127
        assert (covered & mask).sum() > 0.6 * mask.sum()


def test_lego_lies_between_near_and_far_in_front_of_its_cameras(lego: Scene) -> None:
    assert (lego.near, lego.far, lego.white_background) == (2.0, 6.0, True)
    assert lego.train.poses[:, :, 3].norm(dim=1) == pytest.approx(4.03 * np.ones(100), abs=0.01)
    centre = torch.tensor([[49.5, 49.5]])
    for pose in lego.train.poses:
        origins, directions = pixel_rays(lego.intrinsics, pose, centre)
        assert (origins + 4.03 * directions).norm() < 0.05
    corner = composite(lego.train.images[:, 0, 0], 1.0)
    assert (corner == 1).all(dim=1).double().mean() > 0.9


def test_fern_s_views_agree_at_some_depth(fern: Scene) -> None:
    """Plane sweep: at the right depth a point has one colour in all views. With a mirrored axis no depth fits.

    The third axis is left out: Fern's cameras stand in a plane and hardly move along it.
    """
    right = sweep_error(fern, np.array([1.0, 1.0, 1.0]))
    for mirrored in ([-1.0, 1.0, 1.0], [1.0, -1.0, 1.0]):
        assert right < 0.75 * sweep_error(fern, np.array(mirrored))


def test_fern_s_rays_cross_the_cube_of_ndc(fern: Scene) -> None:
    height, width = fern.intrinsics.height, fern.intrinsics.width
    corners = torch.tensor(
        [[0, 0], [0, width - 1], [height - 1, 0], [height - 1, width - 1], [height // 2, width // 2]]
    )
    for pose in torch.cat([fern.train.poses, fern.test.poses]):
        origins, directions = to_ndc(*pixel_rays(fern.intrinsics, pose, corners), fern.intrinsics)
        assert torch.allclose(origins[:, 2], torch.tensor(-1.0), atol=1e-5)
        assert torch.allclose((origins + directions)[:, 2], torch.tensor(1.0), atol=1e-5)
        assert (origins + directions).abs().max() < 2 and origins.abs().max() < 2


def seen(scene: Scene, image: torch.Tensor, pose: torch.Tensor, points: np.ndarray) -> np.ndarray:
    """(n,): alpha where each point projects to; 0 outside the image."""
    rows, columns = np.round(project(scene.intrinsics, pose.double().numpy(), points)).astype(int).T
    height, width = image.shape[:2]
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    alpha = image[..., 3].numpy()[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return np.where(within, alpha, 0)


def pixels_of(scene: Scene, pose: torch.Tensor, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.round(project(scene.intrinsics, pose.double().numpy(), points)).astype(int).T
    return rows.clip(0, scene.intrinsics.height - 1), columns.clip(0, scene.intrinsics.width - 1)


def sweep_error(scene: Scene, signs: np.ndarray) -> float:
    """Median over pixels of the least difference in colour to other views over 64 depths; signs mirror the axes of
    the cameras' movement."""
    lens, views = scene.intrinsics, scene.train
    rng = np.random.default_rng(0)
    pixels = rng.integers([30, 40], [lens.height - 30, lens.width - 40], (300, 2))
    reference, others = 5, (4, 6, 7, 10)
    pose = views.poses[reference].double()
    _, directions = pixel_rays(lens, pose, torch.from_numpy(pixels))
    colours = views.images[reference].numpy()[pixels[:, 0], pixels[:, 1]].astype(float)
    errors = []
    for depth in 1 / np.linspace(1 / scene.depths[1], 1 / scene.depths[0], 64):
        points = (pose[:, 3] + depth * directions).numpy()
        differences = []
        for other in others:
            moved = views.poses[other].double().numpy()
            moved[:, 3] = pose[:, 3].numpy() + signs * (moved[:, 3] - pose[:, 3].numpy())
            rows, columns = np.round(project(lens, moved, points)).astype(int).T
            found = views.images[other].numpy()[rows.clip(0, lens.height - 1), columns.clip(0, lens.width - 1)]
            differences.append(np.abs(found - colours).mean(axis=1))
        errors.append(np.mean(differences, axis=0))
    return float(np.median(np.min(errors, axis=0)))
