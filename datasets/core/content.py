"""Files that are known by what they hold: compressed by whatever program, or not at all, they are the same file."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from datasets.core.errors import DataError
from datasets.core.files import read_file

_GZIP = b"\x1f\x8b"  # what every gzip file begins with
_OVERHEAD = 1 << 16  # bytes


@dataclass(frozen=True)
class Content:
    """The content of a file once it is unpacked: its bytes and their SHA-256, 64 hex digits."""

    size: int
    sha256: str


def read_content(path: Path, expected: Content, fix_hint: str) -> bytes:
    """The unpacked content of a file, plain or gzip.

    Raises DataError, ending in `fix_hint`, if the file cannot be read, is damaged or holds something else.
    """
    content = read_unpacked(path, expected.size, fix_hint)
    if len(content) != expected.size:
        raise DataError(f"{path} holds {len(content)} bytes where {expected.size} are expected; {fix_hint}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected.sha256:
        raise DataError(
            f"{path} holds something else: sha256 {digest[:12]}… where {expected.sha256[:12]}… is expected; {fix_hint}"
        )
    return content


def read_unpacked(path: Path, limit: int, fix_hint: str) -> bytes:
    """The unpacked content of a file of at most `limit` bytes, plain or gzip; errors as `read_content`."""
    packed_limit = limit + _OVERHEAD  # of what compression cannot make smaller
    return unpacked(read_file(path, fix_hint, packed_limit), path, limit, fix_hint)


def unpacked(content: bytes, path: Path, limit: int, fix_hint: str) -> bytes:
    """The content of the file at `path` unpacked, if it is packed.

    Raises DataError, ending in `fix_hint`, if it is damaged or holds more than `limit` bytes.
    """
    found = _decompressed(content, path, limit, fix_hint) if content.startswith(_GZIP) else content
    if len(found) > limit:
        raise DataError(f"{path} holds more than {limit} bytes; {fix_hint}")
    return found


def _decompressed(content: bytes, path: Path, limit: int, fix_hint: str) -> bytes:
    """The beginning of what gzip has packed: never much more than the limit, whatever a few bytes unpack to."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content), mode="rb") as stream:
            return stream.read(limit + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); {fix_hint}") from error
