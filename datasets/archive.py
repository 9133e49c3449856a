"""One file out of a compressed tar archive that is read while it arrives; the archive itself is never stored."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

_CHUNK = 1 << 20  # bytes copied at a time


class ArchiveError(Exception):
    """The archive is damaged, or not the one that was expected; the message says what is wrong."""


class Readable(Protocol):
    """What an archive is read from: a file, or the body of an HTTP response."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def extract_member(
    source: Readable, name: str, place: Path, limit: int, progress: Callable[[int], None] | None = None
) -> None:
    """Write the regular file called `name`, in whatever folder of the tar.gz it is, to `place`.

    Paths and links in the archive are never followed: only `place` is written. limit: the most bytes that are
    read from `source` or written. progress: is told the bytes written so far. Raises ArchiveError; errors of
    reading `source` and of writing pass through. What was written until an error stays.
    """
    try:
        with tarfile.open(fileobj=_Bounded(source, limit), mode="r|gz") as archive:
            for member in archive:
                if member.isfile() and PurePosixPath(member.name).name == name:
                    if member.size > limit:
                        raise ArchiveError(f"{name} in it has {member.size} bytes, more than {limit}")
                    _copy(archive.extractfile(member), member.size, place, progress)
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ArchiveError(f"it is damaged or no tar.gz: {error}") from error
    raise ArchiveError(f"there is no {name} in it")


def _copy(content: BinaryIO | None, size: int, place: Path, progress: Callable[[int], None] | None) -> None:
    done = 0
    with place.open("wb") as stream:
        while content is not None and (piece := content.read(_CHUNK)):
            stream.write(piece)
            done += len(piece)
            if progress is not None:
                progress(done)
    if done != size:
        raise ArchiveError(f"it ends after {done} of the {size} bytes of {place.name}")


class _Bounded:
    """Reads at most so many bytes from a source."""

    def __init__(self, source: Readable, limit: int) -> None:
        self._source = source
        self._left = limit

    def read(self, size: int) -> bytes:
        content = self._source.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise ArchiveError("it is far larger than the published one")
        return content
