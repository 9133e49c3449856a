"""A dataset as published and as generated, and the source that a run reads: one of the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.core.manifest import Manifest
from datasets.core.standin import StandIn


@dataclass(frozen=True)
class Dataset:
    """A dataset as published and as generated; both are in the same on-disk format."""

    manifest: Manifest
    standin: StandIn = field(compare=False)  # follows from the name, and cannot be hashed

    @property
    def name(self) -> str:
        """The word used in configurations and commands, e.g. `cora`."""
        return self.manifest.name


@dataclass(frozen=True)
class Collection:
    """The datasets of one package, which share format and loader.

    own: makes a dataset of a user's own out of its name (a capture, say), or gives None if the name is none of its.
    """

    datasets: tuple[Dataset, ...]
    own: Callable[[str], Dataset | None] = lambda name: None

    @classmethod
    def of(cls, manifests: Mapping[str, Manifest], standins: Mapping[str, StandIn], **more: Any) -> Collection:
        """Manifests and stand-ins by name, one of each for every dataset."""
        return cls(tuple(Dataset(manifest, standins[name]) for name, manifest in manifests.items()), **more)


@dataclass(frozen=True)
class Source:
    """The data that a run uses; goes into its record.

    kind: "real" or "stand-in". dataset: its manifest and stand-in. folder: what the parser reads.
    fingerprint: twelve hex digits, of the manifest's checksums (real; of samples of the file where it has none) or of
    the generator's version and settings.
    """

    kind: str
    dataset: Dataset
    folder: Path
    fingerprint: str

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.dataset.name


def prepare(source: Source) -> None:
    """Generate the stand-in if the source is one and is not there yet; does nothing for real data.

    Safe in several processes at once. Errors as `StandIn.generate`.
    """
    if source.kind == "stand-in":
        source.dataset.standin.generate(source.folder, source.fingerprint)


def hint_for(source: Source) -> str:
    """The hint about a bad file of this source, as the end of an error message."""
    if source.kind == "stand-in":
        return f"delete the folder {source.folder} and it is generated anew"
    return source.dataset.manifest.fix_hint("fetch it again")
