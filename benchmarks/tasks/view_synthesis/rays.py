"""The rays of a scene's pixels, as the renderer wants them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks.view_synthesis.rendering import Rays
from datasets.scenes.cameras import pixel_rays, to_ndc
from datasets.scenes.load import Scene


def scene_rays(scene: Scene, poses: Tensor, pixels: Tensor) -> Rays:
    """The rays of ``pixels (n, 2)`` (row, column) seen from ``poses (n, 3, 4)``, or from one pose ``(3, 4)``.

    In forward-facing scenes they are mapped to normalised device coordinates; the viewing directions are the world's.
    """
    origins, directions = pixel_rays(scene.intrinsics, poses, pixels)
    views = F.normalize(directions, dim=-1)
    if scene.ndc:
        origins, directions = to_ndc(origins, directions, scene.intrinsics)
    return Rays(origins, directions, views)


def view_rays(scene: Scene, pose: Tensor, every: int = 1) -> Rays:
    """The rays of one camera's ``(3, 4)`` pixels, row by row: of all, or those of every n-th row and column."""
    rows = torch.arange(0, scene.intrinsics.height, every, device=pose.device)
    columns = torch.arange(0, scene.intrinsics.width, every, device=pose.device)
    return scene_rays(scene, pose, torch.cartesian_prod(rows, columns))
