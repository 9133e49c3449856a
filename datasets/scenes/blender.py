"""NeRF-Synthetic: scenes rendered by Blender, with `transforms_{train,val,test}.json` and RGBA images."""

from __future__ import annotations

from pathlib import Path

from datasets.scenes.cameras import Intrinsics
from datasets.scenes.frames import Transforms, read_transforms
from datasets.scenes.images import ImageFormat, inspect_images
from datasets.scenes.lens import check_view
from datasets.scenes.plan import ScenePlan
from datasets.scenes.types import SceneOptions

SPLITS = ("train", "val", "test")

# Nothing in the files says so: the published scenes are made to lie between these depths.
NEAR, FAR = 2.0, 6.0


def camera_file(split: str) -> str:
    """The name of a split's camera file."""
    return f"transforms_{split}.json"


def plan_blender(folder: Path, options: SceneOptions, fix_hint: str) -> ScenePlan:
    """A scene of NeRF-Synthetic, in the coordinates of its files; white background.

    Images may have any size, the same in all splits. Raises DataError, ending in `fix_hint`, if one is missing or its
    beginning damaged, if a camera file is malformed or disagrees with another, or if a training view is held out, too.
    """
    files = {split: read_transforms(folder / camera_file(split), fix_hint) for split in SPLITS}
    _check_held_out(files)
    frames = {split: file.frames for split, file in files.items()}
    for split, file in files.items():
        file.check_axes(frames[split])
    frames["test"] = frames["test"][:: options.every_test_view]
    paths = [frame.path for split in SPLITS for frame in frames[split]]
    form = inspect_images(paths, fix_hint, options.downscale, options.longest_side, folder=folder)
    intrinsics = _intrinsics(files, form)
    check_view(files["train"].path, intrinsics, fix_hint)
    train, valid, test = (files[split].shots(frames[split]) for split in SPLITS)
    return ScenePlan(
        train,
        valid,
        test,
        form,
        intrinsics,
        NEAR,
        FAR,
        ndc=False,
        white_background=True,
        depths=(NEAR, FAR),
        fix_hint=fix_hint,
    )


def _check_held_out(files: dict[str, Transforms]) -> None:
    """Raise DataError if a training view is held out as well.

    Views for validation may be those of the test: so it is in the other formats.
    """
    images = {split: file.distinct_images() for split, file in files.items()}
    for split in ("val", "test"):
        for image, number in images[split].items():
            if (other := images["train"].get(image)) is not None:
                file = files[split]
                file.fail(
                    f"frame {number} is the training view {file.frames[number].path.name} (frame {other} of "
                    f"{files['train'].path.name}); held-out views must be others"
                )


def _intrinsics(files: dict[str, Transforms], form: ImageFormat) -> Intrinsics:
    """The camera of the full-size images: square pixels, the view axis through the middle."""
    focals = {split: file.focal("camera_angle_x", form.width) for split, file in files.items()}
    focal = focals["train"]
    for split, other in focals.items():
        if abs(other - focal) > 1e-4 * focal:
            files[split].fail(f"another camera_angle_x than in {files['train'].path.name}; one camera is supported")
    return Intrinsics(focal, focal, form.width / 2, form.height / 2, form.height, form.width)
