"""The parts of a loaded scene, and the options of loading it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from datasets.core.errors import DataError
from datasets.scenes.cameras import Intrinsics


@dataclass(frozen=True)
class Views:
    """Photographs with their cameras.

    images: (views, height, width, 3 or 4) uint8; RGBA, not premultiplied, where the files have alpha.
    poses: (views, 3, 4) float32 camera-to-world, axes as in `scenes.cameras`. names: the image files, relative to the
    folder.
    """

    images: Tensor
    poses: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Scene:
    """A scene, ready to be learned. `scenes` says what the coordinates of each format are.

    valid: for Blender scenes views of their own; LLFF scenes and captures have none, there it is `test` (the held-out
    views). near, far: bounds of t along a ray (0 and 1 if ndc). ndc: rays are to be mapped by `scenes.cameras.to_ndc`
    first. white_background: pixels and renderings are composited on white, else on black. depths: nearest and farthest
    depth of the scene's content in world coordinates; equal to near and far without ndc.
    """

    train: Views
    valid: Views
    test: Views
    intrinsics: Intrinsics
    near: float
    far: float
    ndc: bool
    white_background: bool
    depths: tuple[float, float]


@dataclass(frozen=True)
class SceneOptions:
    """How a scene is loaded; raises DataError for a number below its minimum.

    downscale: width and height are divided by it, with a box filter. longest_side: they are divided by more, if that
    is needed for no side to be longer; None for any. every_test_view: only every n-th test view is loaded and scored.
    holdout: every n-th view of LLFF scenes and captures is held out, the first among them.
    llff_factor: which of an LLFF scene's image folders is taken: 4 is images_4, 8 images_8, 1 images.
    """

    downscale: int = 1
    every_test_view: int = 1
    holdout: int = 8
    llff_factor: int = 8
    longest_side: int | None = None

    def __post_init__(self) -> None:
        minimums = {"downscale": 1, "every_test_view": 1, "holdout": 2, "llff_factor": 1, "longest_side": 1}
        for name, minimum in minimums.items():
            value = getattr(self, name)
            if name == "longest_side" and value is None:
                continue
            if not isinstance(value, int) or value < minimum:
                raise DataError(f"{name}={value!r} of a scene: give an integer of at least {minimum}")
