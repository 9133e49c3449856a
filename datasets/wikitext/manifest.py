"""WikiText-2 and WikiText-103 as published: a zip archive each, which may lie in the data root as it is or unpacked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datasets.core.errors import printable
from datasets.core.files import is_file
from datasets.core.manifest import Manifest, RemoteFile
from datasets.wikitext.format import SPLITS, file_name
from datasets.wikitext.text import check_text

_ADDRESS = "https://wikitext.smerity.com"  # the author's; the first address, an S3 bucket, is gone


@dataclass(frozen=True)
class WikiTextManifest(Manifest):
    """One of the two. archive: the published zip file, which alone can be fetched.

    The folder wins where all three files are in it; where some are missing, the archive does.
    """

    archive: RemoteFile = field(kw_only=True)

    def place(self, root: Path) -> Path:
        """The folder of the three files, or the archive if only that is whole."""
        return self.archive.place(root) if self._is_packed(root) else super().place(root)

    def missing(self, root: Path) -> list[RemoteFile]:
        """Nothing if the archive is there, else the files that are not in the folder."""
        return [] if self._is_packed(root) else super().missing(root)

    def files_in(self, root: Path) -> tuple[RemoteFile, ...]:
        """The files to verify, or to fetch: those in the folder if all are there, else the archive."""
        return self.files if self._is_unpacked(root) else (self.archive,)

    def faults(self, root: Path) -> list[str]:
        """As the base class; where files are missing, those, or what stands in their places."""
        missing = self.missing(root)
        if missing and (lines := self.complaints(root)):
            return lines
        absent = [printable(f"{file.place(root)} is missing; {self.fix_hint('complete it')}") for file in missing]
        return absent or super().faults(root)

    def advice_in(self, root: Path) -> str:
        """The hint about a bad file: as long as the folder is whole, an archive beside it is not looked at."""
        again = super().advice_in(root)
        return f"remove {self.place(root)} and {again}" if self._is_unpacked(root) else again

    def fingerprint_in(self, root: Path) -> str:
        """Twelve hex digits: as the base class for the folder, of the published checksum for the archive."""
        if not self._is_packed(root):
            return super().fingerprint_in(root)
        return hashlib.sha256(f"{self.archive.sha256}  {self.archive.path}".encode()).hexdigest()[:12]

    def places(self, root: Path) -> list[Path]:
        """Where the files, and the archive, are looked for."""
        return [*super().places(root), self.archive.place(root)]

    def _is_unpacked(self, root: Path) -> bool:
        return all(is_file(file.place(root)) for file in self.files)

    def _is_packed(self, root: Path) -> bool:
        return not self._is_unpacked(root) and is_file(self.archive.place(root))


def _manifest(name: str, folder: str, files: tuple[RemoteFile, ...], sha256: str, size: int) -> WikiTextManifest:
    archive = RemoteFile(f"{folder}-v1.zip", f"{_ADDRESS}/{folder}-v1.zip", sha256, size)
    return WikiTextManifest(
        name,
        folder,
        licence="CC BY-SA",
        origin="Salesforce Research",
        files=files,
        archive=archive,
    )


#: Checksum, if it is known, and size of each split's file.
_Known = Mapping[str, tuple[str | None, int]]
_SMALL: _Known = {
    "train": ("9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f", 10_797_148),
    "valid": ("f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8", 1_121_681),
    "test": ("d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0", 1_256_449),
}
# The checksum of WikiText-103's archive is known, those of its files are not; sizes are approximate.
_LARGE: _Known = {
    "train": (None, 540_000_000),
    "valid": (None, 1_140_000),
    "test": (None, 1_280_000),
}


def _files(folder: str, known: _Known) -> tuple[RemoteFile, ...]:
    files = [(f"{folder}/{file_name(split)}", *known[split]) for split in SPLITS]
    return tuple(RemoteFile(path, None, sha256, size, check=check_text) for path, sha256, size in files)


MANIFESTS = {
    "wikitext2": _manifest(
        "wikitext2",
        "wikitext-2",
        _files("wikitext-2", _SMALL),
        "92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c",
        4_475_746,
    ),
    "wikitext103": _manifest(
        "wikitext103",
        "wikitext-103",
        _files("wikitext-103", _LARGE),
        "242ba0f20b329cfdf1ccc61e9e9e5b59becf189db7f7a81cd2a0e2fc31539590",
        190_229_076,
    ),
}
