"""The contents of a published dataset: its files, with address, size and SHA-256, and its licence.

Some files are published without a checksum (`sha256` is None): those are known by a fingerprint of samples, and
all that can be checked is their format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.core.content import Content, read_content
from datasets.core.errors import DataError, printable
from datasets.core.files import is_file, obstacle, reading

_CHUNK = 1 << 20  # bytes hashed at a time, so that memory stays flat whatever the file
_READABLE = "check that it is a file that you may read"
_SAMPLES, _SAMPLE = 64, 1 << 16  # how many samples of a file without a checksum, and bytes of each


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    path: where it belongs, relative to the data root, with forward slashes. url: where it is published; None: it
    has no address. sha256: 64 hex digits; None: not known. size: bytes (about, without a checksum).
    member: the file's name in the tar archive at the address; None: the address is the file's own.
    alternatives: other paths at which the same content is accepted, e.g. compressed.
    content: what the file holds unpacked, where it is known: then any file that holds it is good.
    check(path, fix_hint): looks at the format of a file without a checksum; raises DataError.
    """

    path: str
    url: str | None
    sha256: str | None
    size: int
    member: str | None = None
    alternatives: tuple[str, ...] = ()
    check: Callable[[Path, str], None] | None = None
    content: Content | None = None

    def places(self, root: Path) -> list[Path]:
        """Every path under the data root at which the file is accepted."""
        return [root.joinpath(*path.split("/")) for path in (self.path, *self.alternatives)]

    def place(self, root: Path) -> Path:
        """The first of these paths with a file; if there is no file, the first with something else, else the first."""
        places = self.places(root)
        return next(filter(is_file, places), None) or next(filter(obstacle, places), places[0])


@dataclass(frozen=True)
class Manifest:
    """The files of one dataset; `folder` (relative to the data root) is what its parser reads.

    instruction: how to obtain the files where no command can fetch them.
    """

    name: str
    folder: str
    licence: str
    origin: str
    files: tuple[RemoteFile, ...]
    instruction: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change with any file's content; computed from the checksums alone.

        Raises ValueError if a file has none; see `fingerprint_in`.
        """
        known = [(file.path, file.sha256) for file in self.files if file.sha256 is not None]
        if len(known) < len(self.files):
            raise ValueError(f"{self.name} has files without a checksum")
        return _digest_of(known)

    def fingerprint_in(self, root: Path) -> str:
        """The fingerprint of the files under the data root, which must be there.

        A file without a checksum counts with its size and samples of its content (a few MB in all, so this is
        quick for any size). Raises DataError if such a file cannot be read.
        """
        return _digest_of(
            (file.path, file.sha256 or sampled_digest(file.place(root), _READABLE)) for file in self.files
        )

    @property
    def fetch_command(self) -> str:
        """The command that puts the files under the data root."""
        return f"python -m benchmarks.data fetch {self.name}"

    def fix_hint(self, verb: str) -> str:
        """How to obtain the files, as the end of an error message, e.g. "fetch them: python -m …"."""
        return self.instruction or f"{verb}: {self.fetch_command}"

    def advice_in(self, root: Path) -> str:
        """The hint about a bad file under the data root, as the end of an error message."""
        return self.fix_hint("fetch it again")

    def place(self, root: Path) -> Path:
        """The folder that the parser reads, under the data root."""
        return root.joinpath(*self.folder.split("/"))

    def files_in(self, root: Path) -> tuple[RemoteFile, ...]:
        """The files to fetch and to verify: all, or an archive of them where that is what is there."""
        return self.files

    def faults(self, root: Path) -> list[str]:
        """The faults of the files under the data root, a line for each: all that a run would refuse."""
        if lines := self._instead_of_files(root):
            return lines
        for file in self.files_in(root):
            try:
                check_file(file.place(root), file, self.advice_in(root))
            except DataError as error:
                lines.append(str(error))
        return lines

    def agreement(self, root: Path) -> str:
        """The finding of `faults`, if there is no fault."""
        files = self.files_in(root)
        known = all(file.sha256 for file in files)
        what = "agree with their checksums" if known else "begin in the right format (no checksum is published)"
        return f"{len(files)} of {len(files)} files {what}"

    def missing(self, root: Path) -> list[RemoteFile]:
        """The files that are not under the data root; looks at names only."""
        return [file for file in self.files if not is_file(file.place(root))]

    def absent(self, root: Path) -> bool:
        """Whether none of the files is under the data root, and nothing else in their places either."""
        return self._none_of_files(root) and not any(self.obstacles(root))

    def obstacles(self, root: Path) -> Iterator[str]:
        """A sentence about each thing in a place where a file is looked for, and that is none.

        Somebody put it there and expects it to be used: as long as there is one, no stand-in takes the files' part.
        """
        for path in self.places(root):
            if what := obstacle(path):
                yield f"{path} {what}"

    def complaints(self, root: Path) -> list[str]:
        """The obstacles, each as a line that says what to do."""
        hint = f"put that right, or {self.fix_hint('fetch it again')}"
        return [printable(f"{what}; {hint}") for what in self.obstacles(root)]

    def places(self, root: Path) -> list[Path]:
        """Every place under the data root where files are looked for."""
        return [place for file in self.files for place in file.places(root)]

    def _instead_of_files(self, root: Path) -> list[str]:
        """The complaints where not a single file is there."""
        return self.complaints(root) if self._none_of_files(root) else []

    def _none_of_files(self, root: Path) -> bool:
        return len(self.missing(root)) == len(self.files)

    def find(self, name: str) -> RemoteFile:
        """The file with this name (its last path component). Raises KeyError if there is none."""
        for file in self.files:
            if file.path.rpartition("/")[2] == name:
                return file
        raise KeyError(name)


def check_file(path: Path, expected: RemoteFile, fix_hint: str) -> None:
    """Compare a file with its manifest entry; without a checksum there, look at its format.

    Raises DataError, ending in `fix_hint`, if the file cannot be read, differs in size or SHA-256 or has another
    format.
    """
    if expected.content is not None:
        read_content(path, expected.content, fix_hint)
        return
    if expected.sha256 is None:
        with reading(path, fix_hint):
            path.open("rb").close()
        if expected.check is not None:
            expected.check(path, fix_hint)
        return
    with reading(path, fix_hint):
        _check_size(path, expected, fix_hint)
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    _check_digest(path, digest.hexdigest(), expected, fix_hint)


def read_checked(path: Path, expected: RemoteFile, fix_hint: str) -> bytes:
    """The content of a file that agrees with its manifest entry, unpacked if that is what is known of it; errors as
    `check_file`.

    What is hashed is what is returned: the file is read once, so it cannot change in between, and its size is
    looked at first, so a wrong file of any size is never taken into memory.
    """
    if expected.content is not None:
        return read_content(path, expected.content, fix_hint)
    with reading(path, fix_hint):
        _check_size(path, expected, fix_hint)
        content = path.read_bytes()
    _check_digest(path, hashlib.sha256(content).hexdigest(), expected, fix_hint)
    return content


def _digest_of(entries: Iterable[tuple[str, str]]) -> str:
    lines = sorted(f"{digest}  {path}" for path, digest in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def sampled_digest(path: Path, fix_hint: str) -> str:
    """Hash of a file's size and of samples evenly spread over it, its beginning and its end among them; of all of a
    file of up to 4 MB. Raises DataError, ending in `fix_hint`, if it cannot be read.
    """
    with reading(path, fix_hint), path.open("rb") as stream:
        size = stream.seek(0, 2)
        digest = hashlib.sha256(str(size).encode())
        last = max(size - _SAMPLE, 0)
        for number in range(_SAMPLES):
            stream.seek(last * number // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def _check_size(path: Path, expected: RemoteFile, fix_hint: str) -> None:
    size = path.stat().st_size
    if size != expected.size:
        raise DataError(f"{path} has {size} bytes where {expected.size} are expected; {fix_hint}")


def _check_digest(path: Path, digest: str, expected: RemoteFile, fix_hint: str) -> None:
    if digest != expected.sha256:
        raise DataError(
            f"{path} has sha256 {digest[:12]}… where {(expected.sha256 or '')[:12]}… is expected; {fix_hint}"
        )
