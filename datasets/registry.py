"""The datasets there are, and which data a run uses: the published files, or a stand-in in the cache.

To add a dataset, write a module with its manifest, one with its stand-in and one with its loader, and add the former
two to `_MANIFESTS` and `_STANDINS` under one name; sources, downloads and the data commands then know it.
"""

from __future__ import annotations

import difflib

from datasets.core.errors import AbsentError, DataError
from datasets.core.files import obstacle
from datasets.core.roots import cache_root, data_root
from datasets.core.source import Dataset, Source
from datasets.criteo.manifest import MANIFESTS as CRITEO_MANIFESTS
from datasets.criteo.standin import STANDINS as CRITEO_STANDINS
from datasets.planetoid.manifest import MANIFESTS as PLANETOID_MANIFESTS
from datasets.planetoid.standin import STANDINS as CITATION_STANDINS
from datasets.scenes.manifest import CAPTURE, capture_manifest
from datasets.scenes.manifest import MANIFESTS as SCENE_MANIFESTS
from datasets.scenes.standin import STANDINS as SCENE_STANDINS
from datasets.scenes.standin import capture_standin
from datasets.wikitext.manifest import MANIFESTS as WIKITEXT_MANIFESTS
from datasets.wikitext.standin import STANDINS as WIKITEXT_STANDINS

CHOICES = ("auto", "real", "standin")


_MANIFESTS = PLANETOID_MANIFESTS | CRITEO_MANIFESTS | SCENE_MANIFESTS | WIKITEXT_MANIFESTS
_STANDINS = CITATION_STANDINS | CRITEO_STANDINS | SCENE_STANDINS | WIKITEXT_STANDINS
_DATASETS = {name: Dataset(manifest, _STANDINS[name]) for name, manifest in _MANIFESTS.items()}


def known_datasets() -> list[str]:
    """Names of all datasets, in the order in which tables list them."""
    return list(_DATASETS)


def find_dataset(name: str) -> Dataset:
    """The dataset of this name; `capture/<folder>` is a capture of one's own (`scenes.manifest`).

    Raises DataError with the nearest valid names if there is none.
    """
    if name in _DATASETS:
        return _DATASETS[name]
    if name.startswith(CAPTURE):
        return Dataset(capture_manifest(name), capture_standin(name))
    near = difflib.get_close_matches(name.lower(), _DATASETS, n=3, cutoff=0.5) or known_datasets()
    raise DataError(f"unknown dataset {name!r}; did you mean {' or '.join(near)}?")


def resolve(dataset: str, data: str = "auto", profile: str = "quick") -> Source:
    """Decide which data a run uses; looks at file names (and samples of files without a checksum), writes nothing.

    data: "real" wants the published files; "standin" the generated ones, sized for `profile`; "auto" takes
    the published files if they are under the data root, else the stand-in. Raises AbsentError for "real" without
    the files, DataError for an unknown dataset or choice, for a data root that can be none and, unless a stand-in was
    asked for, for an incomplete set of files, or for something else in a file's place, such as a link that leads
    nowhere: a half-finished download, or a disk that is not mounted, never turns into a stand-in unnoticed.
    """
    if data not in CHOICES:
        raise DataError(f"unknown choice data={data!r}; valid are {', '.join(CHOICES)}")
    entry = find_dataset(dataset)
    if data == "standin" or (data == "auto" and entry.manifest.absent(data_root())):
        return _standin_source(entry, profile)
    _require_files(entry)
    manifest = entry.manifest
    return Source("real", entry, manifest.place(data_root()), manifest.fingerprint_in(data_root()))


def _standin_source(entry: Dataset, profile: str) -> Source:
    fingerprint = entry.standin.fingerprint(profile)
    folder = cache_root() / "standin" / f"{entry.name}-{fingerprint}"
    return Source("stand-in", entry, folder, fingerprint)


def _require_files(entry: Dataset) -> None:
    manifest, root = entry.manifest, data_root()
    missing = manifest.missing(root)
    if not missing:
        return
    if manifest.absent(root):
        raise AbsentError(
            f"{entry.name}: no files in {manifest.place(root)}; {manifest.fix_hint('fetch them')} "
            f"(or use data=standin, or point DFA_DATA_DIR at a folder that has them)"
        )
    for path in manifest.places(root):
        if what := obstacle(path):
            raise DataError(f"{path} {what}; put that right, or {manifest.fix_hint('fetch it again')}")
    names = ", ".join(file.path for file in missing)
    raise DataError(f"{entry.name}: incomplete under {root}: missing {names}; {manifest.fix_hint('complete it')}")
