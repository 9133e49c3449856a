"""Camera conventions and coordinates of the three formats: loaded rays meet what the tracer drew.

The tracer has cameras of its own, so an axis, a transposition or half a pixel that is wrong on either side shows here
and nowhere else: training would still converge, to a blurred scene.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.core.source import Source
from datasets.registry import find_dataset
from datasets.scenes.cameras import pixel_rays, to_ndc
from datasets.scenes.load import Scene, SceneOptions, Views, load_scene, turn_around_poses
from datasets.scenes.poses import focus_point
from datasets.scenes.tracer import draw
from tests.helpers.scene_samples import (
    OBJECT_POINTS,
    SIZE,
    STAGE_POINTS,
    ball_world,
    distance_to_rays,
    drawn_centres,
    edit_json,
    project,
    stage_views,
    write_balls,
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    folder = tmp_path_factory.mktemp("balls")
    return {kind: write_balls(folder / kind, kind) for kind in ("blender", "llff", "capture")}


@pytest.fixture(autouse=True)
def ready_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sources of these tests are not in the registry: there is nothing to generate."""
    monkeypatch.setattr("datasets.scenes.load.prepare", lambda source: None)
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))


def positions(kind: str, scene: Scene) -> np.ndarray:
    """(3, 3): where the balls are in the scene's coordinates, from the eyes alone."""
    if kind == "blender":
        return OBJECT_POINTS
    if kind == "capture":
        # The eyes look at the origin from 4.03 units away.
        return OBJECT_POINTS * 4 / 4.03
    eyes = stage_views()
    _, ups, forwards = (np.stack(axes) for axes in zip(*(eye.basis() for eye in eyes), strict=True))
    back = -forwards.sum(axis=0) / np.linalg.norm(forwards.sum(axis=0))
    right = np.cross(ups.sum(axis=0), back)
    right /= np.linalg.norm(right)
    world = np.stack([right, np.cross(back, right), back])
    nearest = min(draw(ball_world(STAGE_POINTS, 0.3), eye, 2 * SIZE).depths[0] for eye in eyes)
    return (STAGE_POINTS - np.mean([eye.position for eye in eyes], axis=0)) @ world.T / (0.75 * nearest)


def all_views(scene: Scene) -> list[Views]:
    return [scene.train, scene.valid, scene.test]


@pytest.mark.parametrize("options", [SceneOptions(), SceneOptions(downscale=2, llff_factor=4)], ids=["full", "half"])
@pytest.mark.parametrize("kind", ["blender", "llff", "capture"])
def test_rays_meet_the_points_that_were_drawn(sources: dict[str, Source], kind: str, options: SceneOptions) -> None:
    scene = load_scene(sources[kind], options)
    points = positions(kind, scene)
    for views in all_views(scene):
        for image, pose in zip(views.images, views.poses, strict=True):
            centres = drawn_centres(image)
            projected = project(scene.intrinsics, pose.double().numpy(), points)
            # A fifth of a pixel: less than the half by which corners and centres of pixels differ.
            assert np.abs(projected - centres).max() < 0.2
            origins, directions = pixel_rays(scene.intrinsics, pose, torch.from_numpy(centres))
            pixel = np.linalg.norm(points - pose[:, 3].numpy(), axis=1) / scene.intrinsics.fx
            assert (distance_to_rays(points, origins, directions) < 0.3 * pixel).all()


def test_llff_rays_meet_in_normalised_coordinates(sources: dict[str, Source]) -> None:
    """What the network sees of a forward-facing scene: one point there for one point in the world, with 0 < t < 1."""
    scene = load_scene(sources["llff"], SceneOptions())
    lens, points = scene.intrinsics, positions("llff", scene)
    depth = -points[:, 2]
    expected = np.stack(
        [
            2 * lens.fx / SIZE * points[:, 0] / depth,
            2 * lens.fy / SIZE * points[:, 1] / depth,
            1 - 2 / depth,
        ],
        axis=1,
    )
    assert scene.ndc and (scene.near, scene.far) == (0.0, 1.0)
    for image, pose in zip(scene.train.images, scene.train.poses, strict=True):
        rays = pixel_rays(lens, pose, torch.from_numpy(drawn_centres(image)))
        origins, directions = to_ndc(*rays, lens)
        assert distance_to_rays(expected, origins, directions).max() < 0.01
        t = ((torch.from_numpy(expected) - origins) * directions).sum(1) / (directions**2).sum(1)
        assert ((t > 0) & (t < 1)).all()
        assert (directions[:, 2] > 0).all()


def test_llff_scenes_are_recentred_and_scaled(sources: dict[str, Source]) -> None:
    scene = load_scene(sources["llff"], SceneOptions())
    every = torch.cat([scene.test.poses, scene.train.poses])
    assert every[:, :, 3].mean(dim=0).abs().max() < 1e-5
    axis = every[:, :, 2].sum(dim=0)
    assert torch.allclose(axis / axis.norm(), torch.tensor([0.0, 0.0, 1.0]), atol=1e-5)
    assert scene.depths[0] == pytest.approx(1 / 0.75) and scene.depths[1] > 1.5


def test_which_views_are_held_out(sources: dict[str, Source]) -> None:
    """A held-out view among the training views would make every score too good."""
    llff = load_scene(sources["llff"], SceneOptions())
    assert llff.test.names == ("images_8/image000.png", "images_8/image008.png") and llff.valid is llff.test
    assert llff.train.names == tuple(f"images_8/image{index:03d}.png" for index in range(1, 8))
    thinned = load_scene(sources["llff"], SceneOptions(holdout=3, every_test_view=2))
    assert thinned.test.names == ("images_8/image000.png", "images_8/image006.png")
    assert "images_8/image003.png" not in thinned.train.names and len(thinned.train) == 6
    blender = load_scene(sources["blender"], SceneOptions(every_test_view=3))
    assert blender.test.names == ("test/r_0.png", "test/r_3.png")
    assert (len(blender.train), len(blender.valid)) == (6, 2)
    capture = load_scene(sources["capture"], SceneOptions(holdout=4))
    assert capture.test.names == ("images/0000.png", "images/0004.png") and len(capture.train) == 4


def test_full_size_llff_images_are_downsized_once(sources: dict[str, Source], tmp_path: Path) -> None:
    """The cached copy is used again, is the mean of blocks, and gives the same scene as the published folder."""
    folder = tmp_path / "fern"
    (folder / "images").mkdir(parents=True)
    (folder / "poses_bounds.npy").write_bytes((sources["llff"].folder / "poses_bounds.npy").read_bytes())
    for path in sorted((sources["llff"].folder / "images_8").iterdir()):
        Image.open(path).resize((8 * SIZE, 8 * SIZE), Image.Resampling.NEAREST).save(folder / "images" / path.name)
    source = Source("stand-in", find_dataset("llff_real/fern"), folder, "abc")
    scene, published = load_scene(source, SceneOptions()), load_scene(sources["llff"], SceneOptions())
    assert torch.equal(scene.train.images, published.train.images) and scene.intrinsics == published.intrinsics
    cached = tmp_path / "cache" / "scenes" / "llff_real" / "fern-abc"
    assert [path.name for path in cached.iterdir()] == ["images_8"]
    stamp = (cached / "images_8").stat().st_mtime_ns
    load_scene(source, SceneOptions())
    assert (cached / "images_8").stat().st_mtime_ns == stamp


def test_a_capture_skips_frames_without_image_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_balls(tmp_path / "desk", "capture")
    for index in (1, 4):
        (source.folder / "images" / f"{index:04d}.png").unlink()
    with caplog.at_level(logging.WARNING):
        scene = load_scene(source, SceneOptions(holdout=2))
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "2 of 6 frames skipped, their images are missing (the first: 0001.png)"
    ]
    assert scene.test.names == ("images/0000.png", "images/0003.png")


def test_a_capture_may_give_an_angle_bounds_and_its_own_centre(tmp_path: Path) -> None:
    """cx must reach the rays: a sensor that is off by two pixels is what phones have."""
    source = write_balls(tmp_path / "desk", "capture")
    before = load_scene(source, SceneOptions())

    def edit(content: dict) -> None:
        del content["fl_x"], content["fl_y"]
        content.update(camera_angle_x=np.pi / 2, cx=SIZE / 2 + 2, near=1.0, far=8.06, camera_model="OPENCV", k1=0)

    edit_json(source.folder / "transforms.json", edit)
    scene = load_scene(source, SceneOptions())
    assert scene.intrinsics.fx == scene.intrinsics.fy == pytest.approx(SIZE / 2)
    assert (scene.intrinsics.cx, scene.intrinsics.cy) == (SIZE / 2 + 2, SIZE / 2)
    assert (scene.near, scene.far) == pytest.approx((4 / 4.03, 8.0))
    assert torch.equal(scene.train.images, before.train.images) and torch.equal(scene.train.poses, before.train.poses)


def test_lens_distortion_is_not_ignored_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write_balls(tmp_path / "desk", "capture")
    edit_json(source.folder / "transforms.json", lambda content: content.update(k1=0.05, k2=0, p1=-0.01))
    with caplog.at_level(logging.WARNING):
        load_scene(source, SceneOptions())
    assert len(caplog.records) == 1 and "(k1=0.05, p1=-0.01) is not modelled" in caplog.text


def test_a_capture_is_centred_on_what_its_cameras_look_at(tmp_path: Path) -> None:
    """Whatever unit and origin the tool that made it has: the positional encoding expects a scene of this size."""
    source = write_balls(tmp_path / "desk", "capture")
    before = load_scene(source, SceneOptions())

    def edit(content: dict) -> None:
        for frame in content["frames"]:
            for row, shift in zip(frame["transform_matrix"][:3], (100, -20, 7), strict=True):
                row[3] = 50 * row[3] + shift

    edit_json(source.folder / "transforms.json", edit)
    after = load_scene(source, SceneOptions())
    assert torch.allclose(after.train.poses, before.train.poses, atol=1e-4)
    assert after.train.poses[:, :, 3].norm(dim=1) == pytest.approx(4 * np.ones(len(after.train)), rel=1e-4)


@pytest.mark.parametrize("kind", ["blender", "llff", "capture"])
def test_the_tour_stays_among_the_cameras_and_looks_at_the_scene(sources: dict[str, Source], kind: str) -> None:
    scene = load_scene(sources[kind], SceneOptions())
    path = turn_around_poses(scene, 40)
    rotations, places = path[:, :, :3].double(), path[:, :, 3].double()
    assert path.shape == (40, 3, 4) and path.dtype == torch.float32
    assert torch.allclose(rotations.transpose(1, 2) @ rotations, torch.eye(3).double().expand(40, 3, 3), atol=1e-5)
    assert (torch.linalg.det(rotations) > 0).all()
    known = scene.train.poses[:, :, 3].double()
    spread = torch.cdist(known, known).max()
    assert torch.cdist(places, known).min(dim=1).values.max() < spread
    # All axes meet in one point, which is in front of the cameras, and steps are even: no jump where it closes.
    target = torch.from_numpy(focus_point(path.double().numpy()))
    towards = torch.nn.functional.normalize(target - places, dim=1)
    assert torch.allclose(towards, -rotations[:, :, 2], atol=1e-4)
    steps = (places - places.roll(1, 0)).norm(dim=1)
    assert steps.max() < 2.5 * steps.mean()
    depth = float((target - places).norm(dim=1).mean())
    assert scene.depths[0] < depth < scene.depths[1]
