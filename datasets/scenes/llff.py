"""LLFF-Real: forward-facing photographs with `poses_bounds.npy` and folders `images`, `images_4`, `images_8`."""

from __future__ import annotations

import re
import shutil
import uuid
from pathlib import Path

import numpy as np

from datasets.core.errors import DataError
from datasets.core.files import is_folder, names_in, obstacle
from datasets.core.publish import publish
from datasets.scenes.cameras import Intrinsics
from datasets.scenes.images import ImageFormat, inspect_images, is_image, list_images, shrink_images
from datasets.scenes.lens import check_view
from datasets.scenes.llff_poses import PosesBounds, normalised, read_poses_bounds
from datasets.scenes.plan import ScenePlan, Shots
from datasets.scenes.types import SceneOptions

CAMERA_FILE = "poses_bounds.npy"
_MOST_DEGREES = 87.0  # between a ray and the mean view axis
_MOST_FACTOR = 64  # by which a person may have downsized photographs


def plan_llff(folder: Path, options: SceneOptions, fix_hint: str, shrunk: Path) -> ScenePlan:
    """A forward-facing scene, in the coordinates of `scenes.llff_poses.normalised`, to be learned in NDC.

    Every `options.holdout`-th image is held out (both valid and test). Images come from `images_<llff_factor>`, else
    from the full-size ones in `images`, downsized once into the folder `shrunk`. Their order is that of the full-size
    images' names, where these are known. Raises DataError, ending in `fix_hint` or in a better one, if there is
    neither, if the beginning of an image is damaged, if images have not the size that their folder's name says, or if
    the camera file is malformed, does not fit the images or has rays that NDC cannot hold.
    """
    cameras = read_poses_bounds(folder / CAMERA_FILE, fix_hint)
    factor = options.llff_factor
    images, own = _image_folder(folder, factor, fix_hint), fix_hint
    if factor > 1 and images.name == "images":
        images = _shrunk_folder(folder, cameras, shrunk / f"images_{factor}", factor, fix_hint)
        own = f"delete the folder {images} and it is made anew"
    paths = _paths(images, cameras, folder / CAMERA_FILE, own)
    form = _sized(paths, cameras, factor, options, own)
    expected = cameras.width / factor, cameras.height / factor
    focal = cameras.focal / factor
    intrinsics = Intrinsics(focal, focal, expected[0] / 2, expected[1] / 2, form.height, form.width)
    check_view(folder / CAMERA_FILE, intrinsics, fix_hint)
    poses, depths = _coordinates(folder / CAMERA_FILE, cameras, fix_hint)
    every = Shots(tuple(paths), poses, tuple(f"{path.parent.name}/{path.name}" for path in paths))
    index = np.arange(len(paths))
    test = every.pick(index[:: options.holdout * options.every_test_view])
    return ScenePlan(
        every.pick(index[index % options.holdout != 0]),
        valid=test,
        test=test,
        form=form,
        intrinsics=intrinsics,
        near=0.0,
        far=1.0,
        ndc=True,
        white_background=False,
        depths=depths,
        fix_hint=own,
    )


def factors_in(folder: Path) -> list[int]:
    """The factors of all folders of images that a scene has: 1 is `images`, 4 `images_4`."""
    names = (name for name in names_in(folder) if is_folder(folder / name))
    found = (re.fullmatch(r"images(?:_([1-9][0-9]{0,3}))?", name) for name in names)
    return sorted(int(match[1] or 1) for match in found if match)


def _folder_name(factor: int) -> str:
    return "images" if factor == 1 else f"images_{factor}"


def _image_folder(folder: Path, factor: int, fix_hint: str) -> Path:
    """`images_<factor>`, or `images`, which can be downsized, if only that is there."""
    for name in (_folder_name(factor), "images"):
        if is_folder(folder / name):
            return folder / name
        if what := obstacle(folder / name):
            raise DataError(f"{folder / name} {what}; {fix_hint}")
    absent = " or ".join(dict.fromkeys((_folder_name(factor), "images")))
    others = [other for other in factors_in(folder) if other != factor]
    there = f" (there is {_folder_name(others[-1])}, which task.llff_factor={others[-1]} takes)" if others else ""
    raise DataError(f"{folder}: has no folder {absent}{there}; {fix_hint}")


def _paths(images: Path, cameras: PosesBounds, camera_path: Path, fix_hint: str) -> list[Path]:
    """The images, in the order of the camera file's rows."""
    paths = _in_order_of(camera_path.with_name("images"), list_images(images, fix_hint))
    if len(paths) < 2:
        raise DataError(f"{images}: {len(paths)} images, and two are the least; {fix_hint}")
    if len(paths) != len(cameras.poses):
        raise DataError(f"{camera_path}: {len(cameras.poses)} rows for {len(paths)} images in {images}; {fix_hint}")
    return paths


def _in_order_of(originals: Path, paths: list[Path]) -> list[Path]:
    """The images as the full-size ones of the same stems are sorted, if each has one there; else as they are.

    Rows follow the names of the full-size images, and another suffix can change the order of names: a.JPG stands
    before a.Left.JPG, but a.png behind a.Left.png.
    """
    by_stem = {path.stem: path for path in paths}
    stems = [Path(name).stem for name in sorted(filter(is_image, names_in(originals)))]
    used = [stem for stem in stems if stem in by_stem]
    told_apart = len(by_stem) == len(paths) and sorted(used) == sorted(by_stem)
    return [by_stem[stem] for stem in used] if told_apart else paths


def _sized(paths: list[Path], cameras: PosesBounds, factor: int, options: SceneOptions, fix_hint: str) -> ImageFormat:
    """The format of images that have 1/factor of the camera file's width and height, give or take a pixel."""
    folder = paths[0].parent.parent
    stated = cameras.width / factor, cameras.height / factor
    form = inspect_images(paths, fix_hint, options.downscale, options.longest_side, folder=folder, stated=stated)
    if _fits(cameras, factor, form):
        return form
    true = next((other for other in range(1, _MOST_FACTOR + 1) if _fits(cameras, other, form)), None)
    if true is not None:
        fix_hint = _rename(paths[0].parent, true, options.llff_factor)
    raise DataError(
        f"{paths[0]}: {form.width}×{form.height} pixels where {CAMERA_FILE} and the factor {factor} say "
        f"{stated[0]:g}×{stated[1]:g}; {fix_hint}"
    )


def _rename(images: Path, factor: int, wanted: int) -> str:
    """The hint about images whose folder has not the name of their size."""
    right = images.with_name(_folder_name(factor))
    if right.exists():
        return f"these are images of {right.name}, which is there: remove {images}"
    choice = "" if factor in (1, wanted) else f" and give task.llff_factor={factor}"
    return f"rename the folder {images} to {right.name}{choice}"


def _fits(cameras: PosesBounds, factor: int, form: ImageFormat) -> bool:
    return abs(cameras.width / factor - form.width) <= 1 and abs(cameras.height / factor - form.height) <= 1


def _shrunk_folder(folder: Path, cameras: PosesBounds, shrunk: Path, factor: int, fix_hint: str) -> Path:
    """The cache's folder of downsized images, made if it is not there; nobody ever sees half of it.

    The full-size images are looked at first: what is small already would be downsized once more.
    """
    paths = _paths(folder / "images", cameras, folder / CAMERA_FILE, fix_hint)
    _check_stems(paths)
    form = _sized(paths, cameras, 1, SceneOptions(downscale=factor, llff_factor=factor), fix_hint)
    if shrunk.is_dir():
        return shrunk
    draft = shrunk.with_name(f".{shrunk.name}-{uuid.uuid4().hex}")
    try:
        draft.mkdir(parents=True)
        shrink_images(paths, draft, form, fix_hint)
        publish(draft, shrunk)
    except OSError as error:
        raise DataError(
            f"cannot write {shrunk} ({error}); set DFA_CACHE_DIR to a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return shrunk


def _check_stems(paths: list[Path]) -> None:
    """Raise DataError if `shrink_images` would write two of these images to one file."""
    first: dict[str, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.stem, path)) != path:
            raise DataError(
                f"{path.parent}: {other.name} and {path.name} would be one file, {path.stem}.png, when they are "
                "downsized; rename one of them, and keep the order of names that the camera file has"
            )


def _coordinates(path: Path, cameras: PosesBounds, fix_hint: str) -> tuple[np.ndarray, tuple[float, float]]:
    """As `normalised`, of cameras that fit NDC: it holds what lies in front of the mean camera.

    A ray at a right angle to the mean view axis has no place in NDC, and one beyond comes back mirrored.
    """
    try:
        poses, depths = normalised(cameras)
    except ValueError as error:
        raise DataError(f"{path}: the cameras have no common view direction and upward side; {fix_hint}") from error
    away = _degrees_away(poses, cameras)
    if (turned := np.flatnonzero(away > _MOST_DEGREES)).size:
        row = turned[0]
        what = "the camera looks" if poses[row, 2, 2] <= 0 else f"a corner of the image looks {away[row]:.0f}°"
        raise DataError(
            f"{path}: row {row}: {what} away from the mean view direction, but the format is for forward-facing "
            f"scenes; {fix_hint}"
        )
    return poses, depths


def _degrees_away(poses: np.ndarray, cameras: PosesBounds) -> np.ndarray:
    """(n,): the largest angle of each camera's rays, those of its image's corners, to the view axis of the mean."""
    x, y = 0.5 * cameras.width / cameras.focal, 0.5 * cameras.height / cameras.focal
    corners = np.array([[x, y, -1.0], [x, -y, -1.0], [-x, y, -1.0], [-x, -y, -1.0]])
    ahead = -np.einsum("nj,cj->nc", poses[:, 2, :3], corners) / np.linalg.norm(corners, axis=1)
    return np.degrees(np.arccos(np.clip(ahead.min(axis=1), -1.0, 1.0)))
