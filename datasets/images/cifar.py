"""The two formats of CIFAR-10: records of bytes, and pickles of a dictionary.

A record is the label, then 3 × 32 × 32 pixels, channel by channel. The pickles hold the same as ``data`` and
``labels``. Their checksums differ with the program that wrote them, so they are known by the records that their content
makes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.core.content import Content
from datasets.core.errors import DataError
from datasets.core.files import read_file
from datasets.pickles.arrays import LIMIT, load_pickle

SHAPE = (3, 32, 32)  # channels, height, width
_PIXELS = 3 * 32 * 32
_RECORD = 1 + _PIXELS


class Batch(NamedTuple):
    """One file of n images. labels: (n,) uint8. images: (n, 3, 32, 32) uint8."""

    labels: np.ndarray
    images: np.ndarray


def parse_records(content: bytes, path: Path, fix_hint: str) -> Batch:
    """The images of a binary file. Raises DataError, ending in `fix_hint`, if it does not consist of whole records."""
    if not content or len(content) % _RECORD:
        raise DataError(f"{path}: {len(content)} bytes are no records of {_RECORD}; {fix_hint}")
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    return Batch(records[:, 0], records[:, 1:].reshape(-1, *SHAPE))


def records_of(batch: Batch) -> bytes:
    """The binary file of the images."""
    flat = batch.images.reshape(len(batch.labels), _PIXELS)
    return np.concatenate([batch.labels[:, None], flat], axis=1).tobytes()


def parse_pickle(content: bytes, path: Path, fix_hint: str) -> Batch:
    """The images of a pickled file; nothing that it names is run. Raises DataError, ending in `fix_hint`."""
    value = load_pickle(content, path, fix_hint)
    if not isinstance(value, dict):
        raise DataError(f"{path}: holds no dictionary of data and labels; {fix_hint}")
    pixels, labels = (_entry(value, name) for name in ("data", "labels"))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise DataError(f"{path}: its data are no rows of bytes; {fix_hint}")
    if not isinstance(labels, list) or len(labels) != len(pixels) or pixels.shape[1] != _PIXELS:
        raise DataError(f"{path}: {pixels.shape} pixels do not fit its labels, or {_PIXELS} an image; {fix_hint}")
    if not all(type(label) is int and 0 <= label <= 255 for label in labels):
        raise DataError(f"{path}: its labels are no bytes; {fix_hint}")
    return Batch(np.array(labels, np.uint8), pixels.reshape(-1, *SHAPE))


def read_pickle(path: Path, expected: Content, fix_hint: str) -> Batch:
    """The images of a pickled file, whose records are known. Raises DataError, ending in `fix_hint`."""
    batch = parse_pickle(read_file(path, fix_hint, LIMIT), path, fix_hint)
    records = records_of(batch)
    if len(records) != expected.size or hashlib.sha256(records).hexdigest() != expected.sha256:
        raise DataError(f"{path} holds other images than the published ones; {fix_hint}")
    return batch


def _entry(value: dict[Any, Any], name: str) -> Any:
    """An entry by its name, which Python 2 wrote as bytes."""
    return value.get(name.encode(), value.get(name))
