"""The datasets there are, and which data a run uses: the published files, or a stand-in in the cache.

A dataset is a package here that exports ``DATASET``: a `Dataset`, or a `Collection` of several. Sources, downloads and
the data commands then know it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from pathlib import Path

from datasets.core.errors import AbsentError, DataError
from datasets.core.roots import cache_root, data_root
from datasets.core.source import Collection, Dataset, Source

CHOICES = ("auto", "real", "standin")


def _collections() -> Iterator[Collection]:
    """The collections that the packages export."""
    for path in sorted(Path(__file__).parent.glob("*/__init__.py")):
        exported = getattr(importlib.import_module(f"datasets.{path.parent.name}"), "DATASET", None)
        if exported is not None:
            yield exported if isinstance(exported, Collection) else Collection((exported,))


_COLLECTIONS = list(_collections())
_DATASETS = {one.name: one for collection in _COLLECTIONS for one in collection.datasets}


def add(dataset: Dataset) -> None:
    """Make a dataset known that lies elsewhere; the same one may be added again.

    Raises ValueError if another one has its name.
    """
    if _DATASETS.setdefault(dataset.name, dataset) != dataset:
        raise ValueError(f"there is a dataset {dataset.name!r} already; choose another name")


def known_datasets() -> list[str]:
    """Names of all datasets, package by package."""
    return list(_DATASETS)


def find_dataset(name: str) -> Dataset:
    """The dataset of this name, which may be one of the user's own (`capture/<folder>`).

    Raises DataError with the nearest valid names if there is none.
    """
    if name in _DATASETS:
        return _DATASETS[name]
    if (own := next(filter(None, (collection.own(name) for collection in _COLLECTIONS)), None)) is not None:
        return own
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
    if not manifest.files:
        raise AbsentError(f"{entry.name}: is generated and has no published files; use data=standin")
    missing = manifest.missing(root)
    if not missing:
        return
    if manifest.absent(root):
        raise AbsentError(
            f"{entry.name}: no files in {manifest.place(root)}; {manifest.fix_hint('fetch them')} "
            f"(or use data=standin, or point DFA_DATA_DIR at a folder that has them)"
        )
    for line in manifest.complaints(root):
        raise DataError(line)
    names = ", ".join(file.path for file in missing)
    raise DataError(f"{entry.name}: incomplete under {root}: missing {names}; {manifest.fix_hint('complete it')}")
