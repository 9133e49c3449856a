"""Criteo's text, read in blocks of whole lines and parsed into columns; `criteo.format` describes the format.

A block is parsed as a whole. Only if something in it is wrong does `criteo.faults` look for the line.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import polars as pl

from datasets.core.errors import DataError
from datasets.core.files import reading, reason_of
from datasets.criteo.faults import first_fault
from datasets.criteo.format import CATEGORIES, COLUMNS, FIELDS, INTEGERS, LABEL, LEAST_INTEGER, N_INTEGERS

BLOCK = 8 << 20  # bytes of text at a time; with more, the columns of a block no longer stay in the processor's cache

_SCHEMA = {LABEL: pl.UInt8} | dict.fromkeys(INTEGERS, pl.Int64) | dict.fromkeys(CATEGORIES, pl.String)
_TAB, _NEWLINE = b"\t\n"
_PASSED_OVER = (b"+", b" ", b"\r", b"\xef\xbb\xbf")  # beside a value, polars takes no notice of them
_BEGINNING = 1 << 20  # bytes
_CODE_SHIFT = 1 << 31  # makes the codes of integers unsigned, in the same order


@dataclass(frozen=True)
class TextFile:
    """A file of lines, plain or compressed with gzip.

    fix_hint: what to do if it is bad, as the end of a message. limit: the most bytes of text that it may have.
    """

    path: Path
    fix_hint: str
    limit: int | None = None

    def fault(self, what: str, line: int | None = None) -> DataError:
        """The error to raise about a line, counted from 1, or about the file as a whole."""
        where = self.path if line is None else f"{self.path}, line {line}"
        return DataError(f"{where}: {what}; {self.fix_hint}")


class Block(NamedTuple):
    """Whole lines. text: ends in a newline, unless the file does not. first_line: its number, counted from 1."""

    text: bytes
    first_line: int


class Columns(NamedTuple):
    """n parsed lines.

    labels: (n,) uint8, 0 or 1. values: (39, n) uint32, for integers the code that the encoding gives them,
    shifted by 2³¹; for categories the hash. missing: (39, n) bool; values are arbitrary there.
    """

    labels: np.ndarray
    values: np.ndarray
    missing: np.ndarray


def read_blocks(file: TextFile, rows: int | None = None, size: int = BLOCK) -> Generator[Block]:
    """The file's lines (or the first `rows` of them), about `size` bytes at a time, so that memory stays flat.

    Raises DataError if the file cannot be read, is empty, is compressed and damaged, has more text than its limit or a
    line of more than `size` bytes; lines before a damage are delivered first.
    """
    line, rest, total = 1, b"", 0
    with _opened(file) as stream:
        while piece := _read(file, stream, size, line):
            total += len(piece)
            if file.limit is not None and total > file.limit:
                raise file.fault(f"has more than {file.limit} bytes of text", line)
            text = rest + piece
            end = text.rfind(b"\n") + 1
            text, rest = text[:end], text[end:]
            if len(rest) > size:
                raise file.fault(f"has more than {size} bytes, this is not a text of short lines", line)
            if rows is not None:
                text = _first_lines(text, rows + 1 - line)
            if text:
                yield Block(text, line)
                line += text.count(b"\n")
            if rows is not None and line > rows:
                return
    if rest:
        yield Block(rest, line)
    elif line == 1:
        raise file.fault("is empty")


def parse(file: TextFile, block: Block) -> Columns:
    """Parse a block. Raises DataError naming the line and column of the first thing that is not in the format."""
    columns = _parse(block.text)
    if columns is not None:
        return columns
    # Another version of polars might refuse what the rules allow: then the block is what can be named.
    n_lines = block.text.count(b"\n")
    index, what = first_fault(block.text) or (0, f"something in the {n_lines} lines from here on cannot be parsed")
    raise file.fault(what, block.first_line + index)


def check_beginning(path: Path, fix_hint: str) -> None:
    """Look at the first lines of a file. Raises DataError, ending in `fix_hint`, if they are not in the format."""
    file = TextFile(path, fix_hint)
    with closing(read_blocks(file, size=_BEGINNING)) as blocks:
        parse(file, next(blocks))


def integer_codes(integers: np.ndarray) -> np.ndarray:
    """(n,) int64 → (n,) int64: ⌊ln(v)²⌋ for v > 2, v − 2 for others, as published."""
    codes = integers - 2
    large = integers > 2
    codes[large] = np.log(integers[large].astype(np.float64)) ** 2  # the cast to int64 rounds down
    return codes


def _parse(text: bytes) -> Columns | None:
    """The columns, or None if anything is wrong."""
    if not text.endswith(b"\n"):
        text += b"\n"
    if not _has_all_columns(text):
        return None
    try:
        table = pl.read_csv(text, has_header=False, separator="\t", quote_char=None, schema=_SCHEMA)
        hashes = table.select(pl.col(CATEGORIES).str.to_integer(base=16, dtype=pl.UInt32))
    except pl.exceptions.PolarsError:
        return None
    labels, integers = table[LABEL], table.select(INTEGERS)
    if len(table) != text.count(b"\n"):
        return None
    if (
        labels.null_count()
        or cast(int, labels.max()) > 1
        or _least(integers) < LEAST_INTEGER
        or not _all_of_8_digits(table)
    ):
        return None
    values = np.empty((FIELDS, len(table)), dtype=np.uint32)
    missing = np.empty((FIELDS, len(table)), dtype=bool)
    for number, column in enumerate((*integers, *hashes)):
        missing[number] = column.is_null().to_numpy()
        filled = column.fill_null(0).to_numpy()
        values[number] = integer_codes(filled) + _CODE_SHIFT if number < N_INTEGERS else filled
    return Columns(labels.to_numpy(), values, missing)


def _has_all_columns(text: bytes) -> bool:
    """Whether lines have 39 tabs on average, and nothing is there that polars would pass over silently.

    Polars refuses a line with more columns and pads one with fewer, so with the right number in all every line
    has it.
    """
    lines = text.count(b"\n")
    tabs = np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == _TAB)
    return tabs == lines * (COLUMNS - 1) and not any(byte in text for byte in _PASSED_OVER)


def _least(integers: pl.DataFrame) -> int:
    return min((int(cast(int, column.min())) for column in integers if column.min() is not None), default=0)


def _all_of_8_digits(table: pl.DataFrame) -> bool:
    lengths = table.select((pl.col(CATEGORIES).str.len_bytes() == 8).all())  # nulls are passed over
    return all(lengths.row(0))


def _first_lines(text: bytes, count: int) -> bytes:
    if text.count(b"\n") <= count:
        return text
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == _NEWLINE)
    return text[: ends[count - 1] + 1]


@contextmanager
def _opened(file: TextFile) -> Iterator[BinaryIO]:
    """The uncompressed content. The first bytes tell whether it is compressed, not the name."""
    with reading(file.path, file.fix_hint):
        raw = file.path.open("rb")
    with raw:
        compressed = _read(file, raw, 2, line=1) == b"\x1f\x8b"
        raw.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb")) if compressed else raw


def _read(file: TextFile, stream: BinaryIO, size: int, line: int) -> bytes:
    try:
        return stream.read(size)
    except EOFError as error:
        raise file.fault("the compressed file is truncated", line) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise file.fault(f"the compressed file is damaged ({error})", line) from error
    except OSError as error:
        raise file.fault(f"cannot be read ({reason_of(error)})", line) from error
