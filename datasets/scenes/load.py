"""Scenes for view synthesis: loaded from three formats into one form, with the helpers that go with it.

What users of the package import; rays are in `scenes.cameras`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from datasets.core.errors import DataError
from datasets.core.roots import cache_root
from datasets.core.source import Source, hint_for, prepare
from datasets.scenes.blender import plan_blender
from datasets.scenes.capture import plan_capture
from datasets.scenes.llff import plan_llff
from datasets.scenes.plan import ScenePlan
from datasets.scenes.tour import turn_around_poses
from datasets.scenes.types import Scene, SceneOptions, Views

__all__ = ["Scene", "SceneOptions", "Views", "composite", "load_scene", "turn_around_poses"]


def _blender(source: Source, options: SceneOptions) -> ScenePlan:
    return plan_blender(source.folder, options, hint_for(source))


def _llff(source: Source, options: SceneOptions) -> ScenePlan:
    shrunk = cache_root() / "scenes" / f"{source.name}-{source.fingerprint}"
    return plan_llff(source.folder, options, hint_for(source), shrunk)


def _capture(source: Source, options: SceneOptions) -> ScenePlan:
    return plan_capture(source.folder, options, hint_for(source))


# By the first part of a dataset's name: `nerf_synthetic/lego`.
_PLANS: dict[str, Callable[[Source, SceneOptions], ScenePlan]] = {
    "nerf_synthetic": _blender,
    "llff_real": _llff,
    "capture": _capture,
}


def load_scene(source: Source, options: SceneOptions) -> Scene:
    """Load the scene of a source; a stand-in is generated first if it is not there yet.

    Memory: the uint8 images (`Scene`), and while loading one decoded file a thread. Raises DataError, one line with
    file and fix_hint, if anything in the files is missing, damaged or at odds with the rest; see the formats' plans.
    """
    plan = _PLANS.get(source.name.partition("/")[0])
    if plan is None:
        raise DataError(f"{source.name} is not a scene; scenes are {', '.join(f'{kind}/…' for kind in _PLANS)}")
    prepare(source)
    return plan(source, options).load()


def composite(images: Tensor, background: float) -> Tensor:
    """Colours of pixels in front of a grey background: 1 is white, 0 black.

    images: (…, 3 or 4) uint8. Returns (…, 3) float32 in [0, 1]. For a batch of pixels, not for a whole scene, which
    would take four times the memory.
    """
    values = images.to(torch.float32) / 255
    if images.shape[-1] == 3:
        return values
    colours, alpha = values[..., :3], values[..., 3:]
    return background + alpha * (colours - background)
