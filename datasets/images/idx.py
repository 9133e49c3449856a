"""The IDX format of MNIST: a header of big-endian whole numbers, then the array's bytes.

byte 0, 1   zero
byte 2      8: unsigned bytes, the one type that images and labels have
byte 3      number of dims
then        4 bytes a dim, and the entries, the last dim fastest
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from datasets.core.errors import DataError

_UNSIGNED_BYTES = 8
_MOST_DIMS = 3


def parse_idx(content: bytes, dims: int, path: Path, fix_hint: str) -> np.ndarray:
    """The array of ``dims`` dims that an unpacked file holds, uint8.

    Raises DataError, naming `path` and ending in `fix_hint`, if it is something else, cut short or has bytes left.
    """

    def fault(what: str) -> DataError:
        return DataError(f"{path}: {what}; {fix_hint}")

    header = 4 + 4 * dims
    if len(content) < header:
        raise fault(f"{len(content)} bytes, where the header alone has {header}")
    if content[:4] != bytes([0, 0, _UNSIGNED_BYTES, dims]):
        raise fault(f"begins with {content[:4].hex(' ')}, where IDX of {dims} dims begins with 00 00 08 {dims:02x}")
    shape = struct.unpack(f">{dims}I", content[4:header])
    if math.prod(shape) != len(content) - header:
        raise fault(f"{len(content) - header} bytes of entries, where the shape {shape} has {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array of at most three dims, compressed; the same array gives the same bytes.

    Raises ValueError for another array.
    """
    if array.dtype != np.uint8 or not 1 <= array.ndim <= _MOST_DIMS:
        raise ValueError(f"{array.ndim} dims of {array.dtype}: IDX files of ours have 1 to {_MOST_DIMS} of uint8")
    header = bytes([0, 0, _UNSIGNED_BYTES, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=6, mtime=0))
