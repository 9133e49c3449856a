"""Criteo's text → encoded rows in a folder, in bounded memory: two passes, of which only the first reads text.

The first pass parses the text block by block, puts the parsed values where the encoded rows will be, and counts
them. The second replaces them, block by block, by their indices. Which values are missing is kept in memory, a
bit each: every number of 32 bits is a possible hash, so none is left to stand for "missing".

The folder then holds rows.npy (N, 39) int32, labels.npy (N,) uint8 and fields.json, which says what they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from datasets.core.errors import DataError
from datasets.core.files import flush
from datasets.core.manifest import sampled_digest
from datasets.criteo.format import FIELD_NAMES, FIELDS
from datasets.criteo.text import Block, TextFile, parse, read_blocks
from datasets.criteo.vocabulary import ValueCounts, Vocabulary, distinct

ENCODER = 2  # raised whenever the same text and settings give other files
ROWS, LABELS, ABOUT = "rows.npy", "labels.npy", "fields.json"

_WORKERS = min(4, os.cpu_count() or 1)  # threads; each holds a block and its columns, about 80 MB
_ROW_BYTES = FIELDS * 4
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Preprocessing:
    """The settings that determine the encoded rows.

    threshold: a value seen fewer times in its field becomes the field's "rare" index; 1 keeps every value.
    rows: only the first rows of the file (all, if it has fewer); None: all. Raises DataError for values below 1.
    """

    threshold: int = 10
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.threshold < 1:
            raise DataError(f"threshold={self.threshold} is no threshold of Criteo's preprocessing; take 1 or more")
        if self.rows is not None and self.rows < 1:
            raise DataError(f"rows={self.rows} is no number of Criteo's rows; take 1 or more, or null for all")


class _Parsed(NamedTuple):
    """A block after the first pass. values: (39, n) uint32. missing: (39, ⌈n/8⌉), packed bits."""

    labels: np.ndarray
    values: np.ndarray
    missing: np.ndarray
    counts: list[tuple[np.ndarray, int]]  # by field: distinct values with counts, and how many are missing


class _Gathered(NamedTuple):
    """Results of the first pass. labels and missing: one array per block."""

    labels: list[np.ndarray]
    missing: list[np.ndarray]
    vocabularies: list[Vocabulary]
    sha256: str


def preprocess(file: TextFile, folder: Path, settings: Preprocessing, about: dict[str, Any]) -> None:
    """Encode the file into `folder`, which exists and is empty; it is complete only when this returns.

    about: further entries of fields.json. Raises DataError for bad text, or for text whose labels are all alike;
    OSError if the folder cannot be written.
    """
    with (folder / ROWS).open("w+b") as stream:
        _write_header(stream, rows=0)
        start = stream.tell()
        gathered = _gather(file, settings, stream)
        labels = np.concatenate(gathered.labels)
        _check_labels(file, labels, settings.rows)
        _encode(stream, start, gathered)
        stream.seek(0)
        _write_header(stream, len(labels))
        flush(stream)
    with (folder / LABELS).open("wb") as stream:
        np.save(stream, labels)
        flush(stream)
    with (folder / ABOUT).open("wb") as stream:
        digests = {name: sampled_digest(folder / name, "keep others from writing there") for name in (ROWS, LABELS)}
        stream.write(_about(settings, gathered, labels, about | {"digests": digests}))
        flush(stream)


def _gather(file: TextFile, settings: Preprocessing, stream: BinaryIO) -> _Gathered:
    """First pass: parsed values into `stream`, from its position on."""
    digest = hashlib.sha256()
    counts = [ValueCounts() for _ in range(FIELDS)]
    labels, missing = [], []
    blocks = _hashed(read_blocks(file, settings.rows), digest)
    for parsed in _in_order(lambda block: _parse_and_count(file, block), blocks):
        stream.write(parsed.values.data)
        labels.append(parsed.labels)
        missing.append(parsed.missing)
        for field, (packed, n_missing) in zip(counts, parsed.counts, strict=True):
            field.add(packed, n_missing)
    vocabularies = [field.vocabulary(settings.threshold) for field in counts]
    return _Gathered(labels, missing, vocabularies, digest.hexdigest())


def _parse_and_count(file: TextFile, block: Block) -> _Parsed:
    labels, values, missing = parse(file, block)
    counts = []
    for column, absent in zip(values, missing, strict=True):
        n_missing = int(np.count_nonzero(absent))
        counts.append((distinct(column[~absent] if n_missing else column), n_missing))
    return _Parsed(labels, values, np.packbits(missing, axis=1), counts)


def _encode(stream: BinaryIO, start: int, gathered: _Gathered) -> None:
    """Second pass: every block is read, encoded and written back to its place."""
    sizes = [vocabulary.size for vocabulary in gathered.vocabularies]
    offsets = np.cumsum([0, *sizes[:-1]])
    places = start + np.cumsum([0, *(len(labels) * _ROW_BYTES for labels in gathered.labels)])

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for place, labels, missing in zip(places, gathered.labels, gathered.missing, strict=False):
            stream.seek(place)
            content = stream.read(len(labels) * _ROW_BYTES)
            yield np.frombuffer(content, dtype=np.uint32).reshape(FIELDS, -1), missing

    def encoded(block: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        values, bits = block
        rows = np.empty((values.shape[1], FIELDS), dtype="<i4")
        missing = np.unpackbits(bits, axis=1, count=len(rows)).view(bool)
        for field, vocabulary in enumerate(gathered.vocabularies):
            rows[:, field] = vocabulary.encode(values[field], missing[field]) + offsets[field]
        return rows

    for place, rows in zip(places, _in_order(encoded, read()), strict=False):
        stream.seek(place)
        stream.write(rows.data)


def _in_order(function: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """`map` in threads (numpy and polars let them run at once), a few items ahead and no further."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        running: deque[Any] = deque()
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) > _WORKERS:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _hashed(blocks: Iterable[Block], digest: Any) -> Iterator[Block]:
    for block in blocks:
        digest.update(block.text)
        yield block


def _check_labels(file: TextFile, labels: np.ndarray, rows: int | None) -> None:
    for label, meaning in ((1, "clicked"), (0, "not clicked")):
        if not (labels == label).any():
            if len(labels) == rows:  # the file may well be sound
                where = f"{file.path}: none of the first rows={rows} has the label {label} ({meaning})"
                raise DataError(f"{where}; take more")
            raise file.fault(f"none of the {len(labels)} lines has the label {label} ({meaning})")


def _write_header(stream: BinaryIO, rows: int) -> None:
    """The header of rows.npy; numpy pads it so that it has the same length for any number of rows."""
    header = {"descr": "<i4", "fortran_order": False, "shape": (rows, FIELDS)}
    np.lib.format.write_array_header_1_0(stream, header)


def _about(settings: Preprocessing, gathered: _Gathered, labels: np.ndarray, about: dict[str, Any]) -> bytes:
    sizes = {name: vocabulary.size for name, vocabulary in zip(FIELD_NAMES, gathered.vocabularies, strict=True)}
    content = {
        **about,
        "encoder": ENCODER,
        "threshold": settings.threshold,
        "rows": settings.rows,
        "encoded_rows": len(labels),
        "clicks": int(labels.sum(dtype=np.int64)),
        "sha256": gathered.sha256,  # of the text that was encoded, uncompressed
        "features": sum(sizes.values()),
        "field_sizes": sizes,
    }
    return (json.dumps(content, indent=1) + "\n").encode()
