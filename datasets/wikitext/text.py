"""The text of a split, read in blocks of whole lines, from a file or from the published zip archive.

The archive is never unpacked: a split is read out of it under the one name it must have, so no path in it matters.
"""

from __future__ import annotations

import codecs
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from datasets.core.errors import DataError, shown
from datasets.core.files import reason_of
from datasets.wikitext.format import LINE_END

BLOCK = 4 << 20  # bytes at a time; the words of a block take ten times as much
TEXT_LIMIT = 2 << 30  # bytes of a file, packed or not; the largest published one has 0.54e9
# Characters; WikiText-2's longest word has 20. Finding merges takes a time quadratic in a word's length: with this
# bound ten times as long as for usual words, without it, for a single word of 6 MB, hours.
LONGEST_WORD = 1000

# Within a line these are white space, as they are for Python's split, by which WikiText's words are counted. The
# published files were split at newlines: where there is none, a program has put another end in their place.
_OTHER_END = re.compile(r"[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_LONE_RETURN = re.compile(rb"\r(?!\n)")
_WORD = re.compile(r"\S+|\n")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class TextFile:
    """A split's text. path: a file; with `member`, a zip archive that holds it under this name.

    fix_hint: what to do if the text is bad, as the end of a message.
    """

    path: Path
    fix_hint: str
    member: str | None = None

    def fault(self, what: str, line: int | None = None) -> DataError:
        """The error to raise about a line, counted from 1, or about the text as a whole."""
        where = str(self.path) if self.member is None else f"{self.path}, {self.member}"
        where = where if line is None else f"{where}, line {line}"
        return DataError(f"{where}: {what}; {self.fix_hint}")


class Block(NamedTuple):
    """Whole lines. text: ends in a newline. first_line: its number, counted from 1."""

    text: str
    first_line: int


def read_blocks(file: TextFile, size: int = BLOCK) -> Iterator[Block]:
    """The lines, about `size` bytes at a time, so that memory stays flat; a missing last newline is added.

    Raises DataError if the text cannot be read, has more than `TEXT_LIMIT` bytes, is not UTF-8 or has zero bytes, a
    byte order mark or a carriage return without a newline (naming the line), has a line of more than `size` bytes, ends
    its lines with anything but newlines or, at its end, has had no word.
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
        if line == 1 and (end := _OTHER_END.search(block.text)):
            raise file.fault(f"has no newline, and ends lines with U+{ord(end[0]):04X}")
        empty = empty and block.text.isspace()
        yield block
    if empty:
        raise file.fault("has no words")


def split_words(text: str, lowercase: bool) -> list[str]:
    """The words (whatever has no white space in it) and the ends of lines ("\\n"), in order.

    Their number is what WikiText calls tokens: it counts every end of line, those of blank lines too, as a word.
    """
    return _WORD.findall(text.lower() if lowercase else text)


def read_words(file: TextFile, lowercase: bool, size: int = BLOCK) -> Iterator[list[str]]:
    """The words and ends of lines of one block after the other; memory stays flat.

    Raises DataError as `read_blocks`, and for a word of more than `LONGEST_WORD` characters.
    """
    for block in read_blocks(file, size):
        words = split_words(block.text, lowercase)
        if max(map(len, words)) > LONGEST_WORD:
            raise _fault_of_length(file, block, words)
        yield words


def check_text(path: Path, fix_hint: str) -> None:
    """Read a file to its end. Raises DataError, ending in `fix_hint`, for what `read_words` refuses."""
    for _ in read_words(TextFile(path, fix_hint), lowercase=False):
        pass


def _fault_of_length(file: TextFile, block: Block, words: list[str]) -> DataError:
    place, word = next((place, word) for place, word in enumerate(words) if len(word) > LONGEST_WORD)
    what = f"the word {shown(word)} has {len(word)} characters, more than {LONGEST_WORD}"
    return file.fault(what, block.first_line + words[:place].count(LINE_END))


def _decoded(file: TextFile, content: bytes, line: int) -> Block:
    if line == 1 and content.startswith(codecs.BOM_UTF8):
        raise file.fault("begins with a byte order mark, which would count as letters; save it as UTF-8 without one", 1)
    zero = content.find(b"\0")
    if zero >= 0:  # what a file system leaves of a file that was not written to its end
        raise file.fault("has a zero byte", line + content.count(b"\n", 0, zero))
    if b"\r" in content and (lone := _LONE_RETURN.search(content)):  # the first is fast, and mostly enough
        what = "has a carriage return that no newline follows; give its lines newlines as their ends"
        raise file.fault(what, line + content.count(b"\n", 0, lone.start()))
    try:
        return Block(content.decode(), line)
    except UnicodeDecodeError as error:
        bad = content[error.start]
        raise file.fault(f"byte 0x{bad:02x} is not UTF-8", line + content.count(b"\n", 0, error.start)) from error


@contextmanager
def _opened(file: TextFile) -> Iterator[IO[bytes]]:
    try:
        if file.member is None:
            _check_size(file, file.path.stat().st_size)
            with file.path.open("rb") as stream:
                yield stream
        else:
            with zipfile.ZipFile(file.path) as archive, _member(file, archive) as stream:
                yield stream
    except DataError:
        raise
    except FileNotFoundError as error:
        raise file.fault("is missing") from error
    except OSError as error:
        raise file.fault(f"cannot be read ({reason_of(error)})") from error
    except _BAD_ARCHIVE as error:
        raise file.fault(f"the archive is damaged ({error})") from error


def _member(file: TextFile, archive: zipfile.ZipFile) -> IO[bytes]:
    try:
        entry = archive.getinfo(file.member or "")
    except KeyError as error:
        raise file.fault("is not in the archive") from error
    _check_size(file, entry.file_size)
    if entry.compress_type not in _METHODS:
        raise file.fault("is packed with a method that the published archives do not have")
    return archive.open(entry)


def _check_size(file: TextFile, size: int) -> None:
    if size > TEXT_LIMIT:
        raise file.fault(f"has {size} bytes, more than {TEXT_LIMIT}")
