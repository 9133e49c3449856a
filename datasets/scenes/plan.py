"""A scene whose cameras and image headers have been checked: what is left is to read the pixels.

A run and `data verify` make the same plan. The one keeps the pixels, the other reads them and lets them go.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from datasets.scenes.cameras import Intrinsics
from datasets.scenes.images import ImageFormat, check_pixels, decode_images
from datasets.scenes.types import Scene, Views


@dataclass(frozen=True)
class Shots:
    """Some views without their pixels. poses: (n, 3, 4) float64, axes as in `scenes.cameras`. names: as in `Views`."""

    paths: tuple[Path, ...]
    poses: np.ndarray
    names: tuple[str, ...]

    def pick(self, index: np.ndarray) -> Shots:
        """The views with these numbers."""
        chosen = index.tolist()
        return Shots(tuple(self.paths[i] for i in chosen), self.poses[index], tuple(self.names[i] for i in chosen))


@dataclass(frozen=True)
class ScenePlan:
    """A `Scene` before any pixel is read. fix_hint: what to do about a bad image, as the end of a message.

    intrinsics: of the images as they lie in the files. Where valid is test, there is one selection for both.
    """

    train: Shots
    valid: Shots
    test: Shots
    form: ImageFormat
    intrinsics: Intrinsics
    near: float
    far: float
    ndc: bool
    white_background: bool
    depths: tuple[float, float]
    fix_hint: str

    def load(self) -> Scene:
        """The scene. Raises DataError naming the file, if an image is damaged or truncated."""
        train, test = self._views(self.train), self._views(self.test)
        return Scene(
            train,
            valid=test if self.valid is self.test else self._views(self.valid),
            test=test,
            intrinsics=self.intrinsics.downscaled(self.form.downscale),
            near=self.near,
            far=self.far,
            ndc=self.ndc,
            white_background=self.white_background,
            depths=self.depths,
        )

    def check_pixels(self) -> None:
        """Decode every image and keep none. Raises DataError as `load` does."""
        paths = {path for shots in (self.train, self.valid, self.test) for path in shots.paths}
        check_pixels(sorted(paths), self.form, self.fix_hint)

    def _views(self, shots: Shots) -> Views:
        images = decode_images(shots.paths, self.form, self.fix_hint)
        return Views(torch.from_numpy(images), torch.from_numpy(shots.poses.astype(np.float32)), shots.names)
