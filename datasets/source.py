"""Where a dataset's files come from: the real ones under the data root, or a stand-in in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datasets.errors import AbsentError, DataError
from datasets.files import obstacle
from datasets.registry import Dataset, find_dataset, known_datasets
from datasets.roots import cache_root, data_root

__all__ = ["CHOICES", "Source", "cache_root", "data_root", "known_datasets", "prepare", "remedy", "resolve"]

CHOICES = ("auto", "real", "standin")


@dataclass(frozen=True)
class Source:
    """The data that a run uses; goes into its record.

    kind: "real" or "stand-in". name: the dataset. folder: what the parser reads. fingerprint: twelve hex
    digits, of the manifest's checksums (real; of samples of the file where it has none) or of the generator's
    version and settings.
    """

    kind: str
    name: str
    folder: Path
    fingerprint: str


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
    return Source("real", entry.name, manifest.place(data_root()), manifest.fingerprint_in(data_root()))


def prepare(source: Source) -> None:
    """Generate the stand-in if the source is one and is not there yet; does nothing for real data.

    Safe in several processes at once. Errors as `StandIn.generate`.
    """
    if source.kind == "stand-in":
        find_dataset(source.name).standin.generate(source.folder, source.fingerprint)


def remedy(source: Source) -> str:
    """What to do about a bad file of this source, as the end of an error message."""
    if source.kind == "stand-in":
        return f"delete the folder {source.folder} and it is generated anew"
    return find_dataset(source.name).manifest.advice("fetch it again")


def _standin_source(entry: Dataset, profile: str) -> Source:
    fingerprint = entry.standin.fingerprint(profile)
    folder = cache_root() / "standin" / f"{entry.name}-{fingerprint}"
    return Source("stand-in", entry.name, folder, fingerprint)


def _require_files(entry: Dataset) -> None:
    manifest, root = entry.manifest, data_root()
    missing = manifest.missing(root)
    if not missing:
        return
    if manifest.absent(root):
        raise AbsentError(
            f"{entry.name}: no files in {manifest.place(root)}; {manifest.advice('fetch them')} "
            f"(or use data=standin, or point DFA_DATA_DIR at a folder that has them)"
        )
    for path in manifest.places(root):
        if what := obstacle(path):
            raise DataError(f"{path} {what}; put that right, or {manifest.advice('fetch it again')}")
    names = ", ".join(file.path for file in missing)
    raise DataError(f"{entry.name}: incomplete under {root}: missing {names}; {manifest.advice('complete it')}")
