"""Writing lines in the format of Criteo's `train.txt`, for stand-ins and for tests of speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
import polars as pl

from datasets.criteo.format import CATEGORIES, FIELD_NAMES, INTEGERS, LABEL

MISSING = int(np.iinfo(np.int64).min)  # stands for a missing value of any field
Values = Mapping[str, np.ndarray]  # field → (N,) int64

_HEX_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def append_lines(stream: BinaryIO, values: Values, labels: np.ndarray) -> None:
    """Append a line per row.

    values: integers as they are; categories as numbers below 2³², which are scattered over all hashes. MISSING
    leaves the column empty. labels: (N,) of 0 and 1.
    """
    columns = {LABEL: pl.Series(labels)}
    columns |= {field: _without_missing(pl.Series(values[field]), values[field]) for field in INTEGERS}
    for field in CATEGORIES:
        codes = _scatter(values[field], FIELD_NAMES.index(field))
        columns[field] = _without_missing(_hex(codes), values[field])
    pl.DataFrame(columns).write_csv(stream, include_header=False, separator="\t", quote_style="never")


def _without_missing(column: pl.Series, values: np.ndarray) -> pl.Series:
    return column.zip_with(pl.Series(values != MISSING), pl.Series([None], dtype=column.dtype))


def _scatter(numbers: np.ndarray, salt: int) -> np.ndarray:
    """Different uint32 for different numbers of a field: each step can be undone, so none collide."""
    codes = numbers.astype(np.uint32) + np.uint32(salt * 0x9E3779B9 & 0xFFFFFFFF)
    codes = (codes ^ (codes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    codes = (codes ^ (codes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return codes ^ (codes >> np.uint32(16))


def _hex(codes: np.ndarray) -> pl.Series:
    """Eight hex digits each. The digits are laid out as lines and read back: no Python object per value."""
    shifts = np.arange(28, -4, -4, dtype=np.uint32)
    lines = np.full((len(codes), 9), ord("\n"), dtype=np.uint8)
    lines[:, :8] = _HEX_DIGITS[(codes[:, None] >> shifts) & np.uint32(15)]
    text = pl.read_csv(lines.tobytes(), has_header=False, schema={"hex": pl.String}, quote_char=None)
    return text["hex"]
