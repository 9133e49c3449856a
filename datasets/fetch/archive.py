"""Files out of a compressed tar archive that is read while it arrives; the archive itself is never stored."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, cast

_CHUNK = 1 << 20  # bytes copied at a time
_MOST_MEMBERS = 1000  # files before the one that is wanted; tarfile keeps a record of each
_LONGEST_HEADER = 1 << 16  # bytes of a name or of attributes that tarfile takes into memory


class ArchiveError(Exception):
    """The archive is damaged, or not the one that was expected; the message says what is wrong."""


class Readable(Protocol):
    """The source of an archive: a file, or the body of an HTTP response."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def extract_members(
    source: Readable, places: Mapping[str, Path], limit: int, progress: Callable[[int], None] | None = None
) -> None:
    """Write the regular files of these names, in whatever folder of the tar.gz they are, each to its place.

    Paths and links in the archive are never followed: only the places are written. limit: the most bytes that are
    read from `source`, unpacked on the way to the files, or written. progress: is told the bytes written of a file.
    Raises ArchiveError; errors of reading `source` and of writing pass through. What was written until an error stays.
    """
    try:
        with gzip.GzipFile(fileobj=cast(BinaryIO, _Bounded(source, limit)), mode="rb") as unpacked:
            stream = _Bounded(unpacked, limit)
            with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r|", tarinfo=_Header) as archive:
                _extract(archive, places, limit, progress)
            while stream.read(_CHUNK):  # gzip's checksum, the only one there is, comes last
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise ArchiveError(f"it is damaged or no tar.gz: {error}") from error
    except RecursionError as error:  # tarfile reads a header about the next one within that of the one before
        raise ArchiveError("there are too many headers about one file in it") from error


def _extract(
    archive: tarfile.TarFile, places: Mapping[str, Path], limit: int, progress: Callable[[int], None] | None
) -> None:
    wanted = dict(places)
    for number, member in enumerate(archive):
        _check_member(number, member, limit)
        if member.isfile() and (place := wanted.pop(PurePosixPath(member.name).name, None)) is not None:
            _copy(cast("BinaryIO | None", archive.extractfile(member)), member.size, place, progress)
        if not wanted:
            return
    raise ArchiveError(f"there is no {next(iter(wanted))} in it")


def _check_member(number: int, member: tarfile.TarInfo, limit: int) -> None:
    """Unwanted members are unpacked as well, and passed over: perhaps zeros, a thousand of which are a packed byte."""
    if number >= _MOST_MEMBERS:
        raise ArchiveError(f"more than {_MOST_MEMBERS} files in it")
    if member.size < 0 or member.offset_data + member.size > limit:
        raise ArchiveError(f"it unpacks to more than {limit} bytes")
    if member.issparse():
        raise ArchiveError("a file in it has holes, which the published one has not")


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


class _Header(tarfile.TarInfo):
    """A member's header; one that announces a name or attributes of gigabytes is refused before they are read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENDED and not 0 <= header.size <= _LONGEST_HEADER:
            raise ArchiveError(f"a file in it has {header.size} bytes of attributes")
        return header


_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


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
