"""LLFF-Real: forward-facing photographs with `poses_bounds.npy` and folders `images`, `images_4`, `images_8`."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import numpy as np
import torch

from datasets.cameras import Intrinsics
from datasets.errors import DataError
from datasets.publish import publish
from datasets.scene_images import ImageFormat, decode_images, inspect_images, list_images, shrink_images
from datasets.scene_llff_poses import PosesBounds, normalised, read_poses_bounds
from datasets.scene_types import Scene, SceneOptions, Views
from datasets.source import Source, cache_root, remedy

CAMERA_FILE = "poses_bounds.npy"


def load_llff(source: Source, options: SceneOptions) -> Scene:
    """Load a forward-facing scene, in the coordinates of `scene_llff_poses.normalised`, to be learned in NDC.

    Every `options.holdout`-th image is held out (both valid and test). Images come from `images_<llff_factor>`, else
    from the full-size ones in `images`, downsized once into the cache. Raises DataError if there is neither, if an
    image is damaged, or if the camera file is malformed or does not fit the images.
    """
    cure = remedy(source)
    camera_path = source.folder / CAMERA_FILE
    cameras = read_poses_bounds(camera_path, cure)
    paths, image_cure = _image_paths(source, options.llff_factor, cure)
    if len(paths) != len(cameras.poses):
        raise DataError(
            f"{camera_path}: {len(cameras.poses)} rows for {len(paths)} images in {paths[0].parent}; {cure}"
        )
    form = inspect_images(paths, image_cure, options.downscale, options.longest_side)
    intrinsics = _intrinsics(cameras, form, options.llff_factor, f"{paths[0]}: ", image_cure)
    poses, depths = _coordinates(camera_path, cameras, cure)

    def views(chosen: np.ndarray) -> Views:
        files = [paths[index] for index in chosen]
        images = decode_images(files, form, image_cure)
        names = tuple(f"{file.parent.name}/{file.name}" for file in files)
        return Views(torch.from_numpy(images), torch.from_numpy(poses[chosen].astype(np.float32)), names)

    index = np.arange(len(paths))
    test = views(index[:: options.holdout * options.every_test_view])
    train = views(index[index % options.holdout != 0])
    return Scene(
        train,
        valid=test,
        test=test,
        intrinsics=intrinsics.downscaled(form.downscale),
        near=0.0,
        far=1.0,
        ndc=True,
        white_background=False,
        depths=depths,
    )


def _image_paths(source: Source, factor: int, cure: str) -> tuple[list[Path], str]:
    """The images of 1/factor of the full width, in the order of the camera file's rows; what to do about bad ones."""
    full = source.folder / "images"
    folder = source.folder / f"images_{factor}" if factor > 1 else full
    if not folder.is_dir() and factor > 1 and full.is_dir():
        folder = _shrunk_folder(source, full, factor, cure)
        cure = f"delete the folder {folder} and it is made anew"
    if not folder.is_dir():
        raise DataError(f"{source.folder}: neither {folder.name} nor images is there; {cure}")
    paths = list_images(folder)
    if len(paths) < 2:
        raise DataError(f"{folder}: {len(paths)} images, and two are the least; {cure}")
    return paths, cure


def _shrunk_folder(source: Source, full: Path, factor: int, cure: str) -> Path:
    """The cache's folder of downsized images, made if it is not there; nobody ever sees half of it."""
    folder = cache_root() / "scenes" / f"{source.name}-{source.fingerprint}" / f"images_{factor}"
    if folder.is_dir():
        return folder
    paths = list_images(full)
    if not paths:
        raise DataError(f"{full}: no images; {cure}")
    draft = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    try:
        draft.mkdir(parents=True)
        shrink_images(paths, draft, factor, cure)
        publish(draft, folder)
    except OSError as error:
        raise DataError(
            f"cannot write {folder} ({error}); set DFA_CACHE_DIR to a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _intrinsics(cameras: PosesBounds, form: ImageFormat, factor: int, where: str, cure: str) -> Intrinsics:
    """Of the images in the folder; those of the camera file are full-size."""
    expected = cameras.width / factor, cameras.height / factor
    if abs(expected[0] - form.width) > 1 or abs(expected[1] - form.height) > 1:
        raise DataError(
            f"{where}{form.width}×{form.height} pixels where {CAMERA_FILE} and the factor {factor} say "
            f"{expected[0]:g}×{expected[1]:g}; {cure}"
        )
    focal = cameras.focal / factor
    return Intrinsics(focal, focal, expected[0] / 2, expected[1] / 2, form.height, form.width)


def _coordinates(path: Path, cameras: PosesBounds, cure: str) -> tuple[np.ndarray, tuple[float, float]]:
    """As `normalised`, of cameras that fit NDC: it holds what lies in front of the mean camera."""
    try:
        poses, depths = normalised(cameras)
    except ValueError as error:
        raise DataError(f"{path}: the cameras have no common view direction and upward side; {cure}") from error
    turned = np.flatnonzero(poses[:, 2, 2] <= 0)
    if len(turned):
        raise DataError(
            f"{path}: row {turned[0]}: the camera looks away from the mean view direction, but the format is for "
            f"forward-facing scenes; {cure}"
        )
    return poses, depths
