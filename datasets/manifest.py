"""What a published dataset consists of: its files, with address, size and SHA-256, and its licence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import DataError

_CHUNK = 1 << 20  # bytes hashed at a time, so that memory stays flat whatever the file


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    path: where it belongs, relative to the data root, with forward slashes.
    url: where it is published. sha256: 64 hex digits. size: bytes.
    """

    path: str
    url: str
    sha256: str
    size: int

    def place(self, root: Path) -> Path:
        """The file's path under the data root."""
        return root.joinpath(*self.path.split("/"))


@dataclass(frozen=True)
class Manifest:
    """The files of one dataset; `folder` (relative to the data root) is what its parser reads."""

    name: str
    folder: str
    licence: str
    origin: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change with any file's content; computed from the checksums alone."""
        lines = sorted(f"{file.sha256}  {file.path}" for file in self.files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    @property
    def fetch_command(self) -> str:
        """The command that puts the files under the data root."""
        return f"python -m benchmarks.data fetch {self.name}"

    def place(self, root: Path) -> Path:
        """The folder that the parser reads, under the data root."""
        return root.joinpath(*self.folder.split("/"))

    def missing(self, root: Path) -> list[RemoteFile]:
        """The files that are not under the data root; looks at names only."""
        return [file for file in self.files if not file.place(root).is_file()]

    def absent(self, root: Path) -> bool:
        """Whether none of the files is under the data root."""
        return len(self.missing(root)) == len(self.files)

    def find(self, name: str) -> RemoteFile:
        """The file with this name (its last path component). Raises KeyError if there is none."""
        for file in self.files:
            if file.path.rpartition("/")[2] == name:
                return file
        raise KeyError(name)


def check_file(path: Path, expected: RemoteFile, remedy: str) -> None:
    """Compare a file with its manifest entry.

    Raises DataError, ending in `remedy`, if the file cannot be read or differs in size or SHA-256.
    """
    with _readable(path, remedy):
        _check_size(path, expected, remedy)
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    _check_digest(path, digest.hexdigest(), expected, remedy)


def read_checked(path: Path, expected: RemoteFile, remedy: str) -> bytes:
    """The content of a file that agrees with its manifest entry; errors as `check_file`.

    What is hashed is what is returned: the file is read once, so it cannot change in between, and its size is
    looked at first, so a wrong file of any size is never taken into memory.
    """
    with _readable(path, remedy):
        _check_size(path, expected, remedy)
        content = path.read_bytes()
    _check_digest(path, hashlib.sha256(content).hexdigest(), expected, remedy)
    return content


def read_file(path: Path, remedy: str) -> bytes:
    """The content of a file that has no manifest entry. Raises DataError if it cannot be read."""
    with _readable(path, remedy):
        return path.read_bytes()


@contextmanager
def _readable(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {remedy}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from error


def _check_size(path: Path, expected: RemoteFile, remedy: str) -> None:
    size = path.stat().st_size
    if size != expected.size:
        raise DataError(f"{path} has {size} bytes where {expected.size} are expected; {remedy}")


def _check_digest(path: Path, digest: str, expected: RemoteFile, remedy: str) -> None:
    if digest != expected.sha256:
        raise DataError(f"{path} has sha256 {digest[:12]}… where {expected.sha256[:12]}… is expected; {remedy}")
