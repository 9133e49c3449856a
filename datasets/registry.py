"""The datasets there are: for each one its manifest and its stand-in.

To add a dataset, write a module with its manifest, one with its stand-in and one with its loader, and add the former
two to `_MANIFESTS` and `_STANDINS` under one name; sources, downloads and the data commands then know it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from datasets.citation_standin import STANDINS as CITATION_STANDINS
from datasets.criteo_manifest import MANIFESTS as CRITEO_MANIFESTS
from datasets.criteo_standin import STANDINS as CRITEO_STANDINS
from datasets.errors import DataError
from datasets.manifest import Manifest
from datasets.planetoid_manifest import MANIFESTS as PLANETOID_MANIFESTS
from datasets.scene_manifest import CAPTURE, capture_manifest
from datasets.scene_manifest import MANIFESTS as SCENE_MANIFESTS
from datasets.scene_standin import STANDINS as SCENE_STANDINS
from datasets.scene_standin import capture_standin
from datasets.standin import StandIn
from datasets.wikitext_manifest import MANIFESTS as WIKITEXT_MANIFESTS
from datasets.wikitext_standin import STANDINS as WIKITEXT_STANDINS


@dataclass(frozen=True)
class Dataset:
    """A dataset as published and as generated; both are in the same on-disk format."""

    manifest: Manifest
    standin: StandIn

    @property
    def name(self) -> str:
        """The word used in configurations and commands, e.g. `cora`."""
        return self.manifest.name


_MANIFESTS = PLANETOID_MANIFESTS | CRITEO_MANIFESTS | SCENE_MANIFESTS | WIKITEXT_MANIFESTS
_STANDINS = CITATION_STANDINS | CRITEO_STANDINS | SCENE_STANDINS | WIKITEXT_STANDINS
_DATASETS = {name: Dataset(manifest, _STANDINS[name]) for name, manifest in _MANIFESTS.items()}


def known_datasets() -> list[str]:
    """Names of all datasets, in the order in which tables list them."""
    return list(_DATASETS)


def find_dataset(name: str) -> Dataset:
    """The dataset of this name; `capture/<folder>` is a capture of one's own (`scene_manifest`).

    Raises DataError with the nearest valid names if there is none.
    """
    if name in _DATASETS:
        return _DATASETS[name]
    if name.startswith(CAPTURE):
        return Dataset(capture_manifest(name), capture_standin(name))
    near = difflib.get_close_matches(name.lower(), _DATASETS, n=3, cutoff=0.5) or known_datasets()
    raise DataError(f"unknown dataset {name!r}; did you mean {' or '.join(near)}?")
