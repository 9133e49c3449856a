"""The text of a split, read in blocks of whole lines, from a file or from the published zip archive.

The archive is never unpacked: a split is read out of it under the one name it must have, so no path in it matters.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from datasets.errors import DataError
from datasets.wikitext_format import LINE_END

BLOCK = 4 << 20  # bytes at a time; the words of a block take ten times as much
MEMBER_LIMIT = 2 << 30  # bytes that a file in an archive may have; the largest published one has 0.54e9

_WORD = re.compile(r"\S+|\n")
_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class TextFile:
    """A split's text. path: a file; with `member`, a zip archive that holds it under this name.

    remedy: what to do if the text is bad, as the end of a message.
    """

    path: Path
    remedy: str
    member: str | None = None

    def fault(self, what: str, line: int | None = None) -> DataError:
        """The error to raise about a line, counted from 1, or about the text as a whole."""
        where = str(self.path) if self.member is None else f"{self.path}, {self.member}"
        where = where if line is None else f"{where}, line {line}"
        return DataError(f"{where}: {what}; {self.remedy}")


class Block(NamedTuple):
    """Whole lines. text: ends in a newline. first_line: its number, counted from 1."""

    text: str
    first_line: int


def read_blocks(file: TextFile, size: int = BLOCK) -> Iterator[Block]:
    """The lines, about `size` bytes at a time, so that memory stays flat; a missing last newline is added.

    Raises DataError if the text cannot be read, is not UTF-8 (naming the line), has a line of more than `size` bytes
    or, at its end, has had no word.
    """
    line, rest, empty = 1, b"", True
    with _opened(file) as stream:
        while piece := stream.read(size):
            content, newline, rest = (rest + piece).rpartition(b"\n")
            if len(rest) > size:
                line += (content + newline).count(b"\n")
                raise file.fault(f"has more than {size} bytes, this is not a text of lines", line)
            if newline:
                block = _decoded(file, content + newline, line)
                line += block.text.count(LINE_END)
                empty = empty and block.text.isspace()
                yield block
    if rest:
        block = _decoded(file, rest + b"\n", line)
        empty = empty and block.text.isspace()
        yield block
    if empty:
        raise file.fault("has no words")


def split_words(text: str, lowercase: bool) -> list[str]:
    """The words (whatever has no white space in it) and the ends of lines ("\\n"), in order.

    Their number is what WikiText calls tokens: it counts every end of line, those of blank lines too, as a word.
    """
    return _WORD.findall(text.lower() if lowercase else text)


def check_text(path: Path, remedy: str) -> None:
    """Read a file to its end. Raises DataError, ending in `remedy`, if it is no text: what `read_blocks` refuses."""
    for _ in read_blocks(TextFile(path, remedy)):
        pass


def _decoded(file: TextFile, content: bytes, line: int) -> Block:
    try:
        return Block(content.decode(), line)
    except UnicodeDecodeError as error:
        bad = content[error.start]
        raise file.fault(f"byte 0x{bad:02x} is not UTF-8", line + content.count(b"\n", 0, error.start)) from error


@contextmanager
def _opened(file: TextFile) -> Iterator[IO[bytes]]:
    try:
        if file.member is None:
            with file.path.open("rb") as stream:
                yield stream
        else:
            with zipfile.ZipFile(file.path) as archive, _member(file, archive) as stream:
                yield stream
    except FileNotFoundError as error:
        raise file.fault("is missing") from error
    except OSError as error:
        raise file.fault(f"cannot be read ({error.strerror or error})") from error
    except _BAD_ARCHIVE as error:
        raise file.fault(f"the archive is damaged ({error})") from error


def _member(file: TextFile, archive: zipfile.ZipFile) -> IO[bytes]:
    try:
        entry = archive.getinfo(file.member)
    except KeyError as error:
        raise file.fault("is not in the archive") from error
    if entry.file_size > MEMBER_LIMIT:
        raise file.fault(f"unpacks to {entry.file_size} bytes, more than {MEMBER_LIMIT}")
    return archive.open(entry)
