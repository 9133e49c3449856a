"""NeRF-Synthetic: scenes rendered by Blender, with `transforms_{train,val,test}.json` and RGBA images."""

from __future__ import annotations

import numpy as np
import torch

from datasets.cameras import Intrinsics
from datasets.scene_frames import Frame, Transforms, read_transforms
from datasets.scene_images import ImageFormat, decode_images, inspect_images
from datasets.scene_types import Scene, SceneOptions, Views
from datasets.source import Source, remedy

SPLITS = ("train", "val", "test")

# Nothing in the files says so: the published scenes are made to lie between these depths.
NEAR, FAR = 2.0, 6.0


def camera_file(split: str) -> str:
    """The name of a split's camera file."""
    return f"transforms_{split}.json"


def load_blender(source: Source, options: SceneOptions) -> Scene:
    """Load a scene of NeRF-Synthetic, in the coordinates of its files; white background.

    Images may have any size, the same in all splits. Raises DataError if one is missing or damaged, or if a camera
    file is malformed or disagrees with another.
    """
    cure = remedy(source)
    files = {split: read_transforms(source.folder / camera_file(split), cure) for split in SPLITS}
    frames = {split: file.frames for split, file in files.items()}
    frames["test"] = frames["test"][:: options.every_test_view]
    paths = [frame.path for split in SPLITS for frame in frames[split]]
    form = inspect_images(paths, cure, options.downscale, options.longest_side)
    intrinsics = _intrinsics(files, form).downscaled(form.downscale)
    train, valid, test = (load_views(files[split], frames[split], form) for split in SPLITS)
    return Scene(
        train,
        valid,
        test,
        intrinsics,
        NEAR,
        FAR,
        ndc=False,
        white_background=True,
        depths=(NEAR, FAR),
    )


def load_views(file: Transforms, frames: tuple[Frame, ...], form: ImageFormat) -> Views:
    """The images and poses of some of a camera file's frames."""
    images = decode_images([frame.path for frame in frames], form, file.remedy)
    poses = np.stack([frame.pose for frame in frames]).astype(np.float32)
    names = tuple(frame.path.relative_to(file.path.parent).as_posix() for frame in frames)
    return Views(torch.from_numpy(images), torch.from_numpy(poses), names)


def _intrinsics(files: dict[str, Transforms], form: ImageFormat) -> Intrinsics:
    """Of the full-size images: square pixels, the view axis through the middle."""
    focals = {split: file.focal("camera_angle_x", form.width) for split, file in files.items()}
    focal = focals["train"]
    for split, other in focals.items():
        if abs(other - focal) > 1e-4 * focal:
            files[split].fail(f"another camera_angle_x than in {files['train'].path.name}; one camera is supported")
    return Intrinsics(focal, focal, form.width / 2, form.height / 2, form.height, form.width)
