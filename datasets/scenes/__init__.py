"""Scenes for view synthesis: NeRF-Synthetic, LLFF-Real and captures of one's own; `load.load_scene` reads them."""

from datasets.core.source import Collection, Dataset
from datasets.scenes.manifest import CAPTURE, MANIFESTS, capture_manifest
from datasets.scenes.standin import STANDINS, capture_standin


def _capture(name: str) -> Dataset | None:
    return Dataset(capture_manifest(name), capture_standin(name)) if name.startswith(CAPTURE) else None


DATASET = Collection.of(MANIFESTS, STANDINS, own=_capture)
