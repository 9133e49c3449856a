"""Stand-ins of the scenes: ray-traced worlds in the formats of the real ones, sized by profile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.core.standin import StandIn
from datasets.scenes.manifest import REAL_SCENES, SYNTHETIC_SCENES
from datasets.scenes.worlds import object_eyes, object_world, stage_eyes, stage_world
from datasets.scenes.writers import write_blender, write_capture, write_llff

_VERSION = 1


@dataclass(frozen=True)
class SceneSettings:
    """name: the dataset; each has solids of its own. size: width and height in pixels. The rest: numbers of views."""

    name: str
    size: int
    train: int
    valid: int
    test: int

    @property
    def views(self) -> int:
        """All views, for formats that do not tell them apart."""
        return self.train + self.test


def write_synthetic_scene(folder: Path, settings: SceneSettings) -> None:
    """An object in NeRF-Synthetic's format; the same settings give the same pixels and cameras."""
    counts = {"train": settings.train, "val": settings.valid, "test": settings.test}
    eyes = {split: object_eyes(settings.name, split, n) for split, n in counts.items()}
    write_blender(folder, object_world(settings.name), eyes, settings.size)


def write_real_scene(folder: Path, settings: SceneSettings) -> None:
    """A stage in LLFF's format."""
    write_llff(folder, stage_world(settings.name), stage_eyes(settings.name, settings.views), settings.size)


def write_own_capture(folder: Path, settings: SceneSettings) -> None:
    """An object in the format of captures."""
    eyes = object_eyes(settings.name, "train", settings.views)
    write_capture(folder, object_world(settings.name), eyes, settings.size)


def capture_standin(name: str) -> StandIn:
    """The stand-in of a capture, for data=standin."""
    return StandIn(name, _VERSION, ("transforms.json",), _object_settings(name), write_own_capture)


def _synthetic(name: str) -> StandIn:
    files = tuple(f"transforms_{split}.json" for split in ("train", "val", "test"))
    return StandIn(name, _VERSION, files, _object_settings(name), write_synthetic_scene)


def _real(name: str) -> StandIn:
    # Every 8th view is held out; forward-facing scenes have fewer views, as the real ones.
    settings: dict[str, Any] = {
        "smoke": SceneSettings(name, 32, train=14, valid=0, test=2),
        "quick": SceneSettings(name, 64, train=21, valid=0, test=3),
        "default": SceneSettings(name, 100, train=35, valid=0, test=5),
    }
    return StandIn(name, _VERSION, ("poses_bounds.npy",), settings, write_real_scene)


def _object_settings(name: str) -> dict[str, Any]:
    return {
        "smoke": SceneSettings(name, 32, train=12, valid=4, test=4),
        "quick": SceneSettings(name, 64, train=40, valid=5, test=10),
        "default": SceneSettings(name, 100, train=100, valid=10, test=25),
    }


_ALL = [
    *(_synthetic(f"nerf_synthetic/{scene}") for scene in SYNTHETIC_SCENES),
    *(_real(f"llff_real/{scene}") for scene in REAL_SCENES),
]
STANDINS = {standin.name: standin for standin in _ALL}
