"""Scenes from outside: placed in a data root, loaded, and what is said of one that is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from benchmarks import data
from datasets.core.errors import DataError
from datasets.registry import resolve
from datasets.scenes.load import Scene, SceneOptions, load_scene
from tests.helpers.scene_samples import write_balls

DESK, LEGO, FERN = "capture/desk", "nerf_synthetic/lego", "llff_real/fern"
FOLDERS = {DESK: "captures/desk", LEGO: "nerf_synthetic/lego", FERN: "nerf_llff_data/fern"}
KINDS = {DESK: "capture", LEGO: "blender", FERN: "llff"}
CAMERAS = {DESK: "transforms.json", LEGO: "transforms_train.json", FERN: "poses_bounds.npy"}


def placed(root: Path, name: str) -> Path:
    """The balls as real data; returns the folder."""
    return write_balls(root / FOLDERS[name], KINDS[name]).folder


def loaded(name: str, options: SceneOptions | None = None) -> Scene:
    return load_scene(resolve(name, "real"), options or SceneOptions())


def refused(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a run says of the scene, in one line; `data verify` says the same."""
    with warnings.catch_warnings(), pytest.raises(DataError) as caught:
        warnings.simplefilter("error")
        loaded(name)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000
    capsys.readouterr()
    assert data.main(["verify", name]) == 2
    assert message in capsys.readouterr().err.splitlines()
    return message
