"""Encoded rows of Criteo are made once per file and settings, and kept in the cache; every later load maps them.

A folder `<cache>/criteo/<key>` is complete or does not exist (`core.sole_writer`).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from datasets.core.errors import DataError
from datasets.core.files import read_json
from datasets.core.manifest import check_file, sampled_digest
from datasets.core.roots import cache_root, data_root
from datasets.core.sole_writer import sole_writer
from datasets.core.source import Source, hint_for, prepare
from datasets.criteo.batches import CriteoData
from datasets.criteo.format import FIELD_NAMES, FIELDS, FILE
from datasets.criteo.preprocess import ABOUT, ENCODER, LABELS, ROWS, Preprocessing, preprocess
from datasets.criteo.text import TextFile

log = logging.getLogger(__name__)

_ANEW = "delete the folder and it is made anew"
_SIZE_MARGIN = 2  # sizes without a checksum are approximate


def load_criteo(source: Source, preprocessing: Preprocessing) -> CriteoData:
    """Encoded rows of a source; a stand-in is generated, and text encoded, if that was not done before.

    Raises DataError if the text is missing, altered or not in the format (naming the line), or if the cache
    cannot be written.
    """
    folder = cache_folder(source, preprocessing)
    if not folder.is_dir():
        prepare(source)
        try:
            _make(source, preprocessing, folder)
        except OSError as error:
            raise DataError(
                f"cannot write the encoded rows {folder} ({error}); "
                "set DFA_CACHE_DIR to a folder that can be written and has room (160 bytes per row)"
            ) from error
    return _open(folder)


def cache_folder(source: Source, preprocessing: Preprocessing) -> Path:
    """Where the encoded rows lie: the name has all that determines them."""
    rows = "all" if preprocessing.rows is None else preprocessing.rows
    name = f"{source.name}-{source.fingerprint}-threshold{preprocessing.threshold}-rows{rows}-v{ENCODER}"
    return cache_root() / "criteo" / name


def _make(source: Source, preprocessing: Preprocessing, folder: Path) -> None:
    with sole_writer(folder) as new_draft:
        if folder.is_dir():  # another process was faster
            return
        file = _checked_file(source)
        draft = new_draft()
        draft.mkdir()
        log.info("encoding %s into %s, once", file.path, folder)
        about = {"source": source.kind, "dataset": source.name, "fingerprint": source.fingerprint}
        preprocess(file, draft, preprocessing, about | {"file": file.path.name})
        draft.rename(folder)


def _checked_file(source: Source) -> TextFile:
    """The source's text, which agrees with its checksum if it has one."""
    if source.kind != "real":
        return TextFile(source.folder / FILE, hint_for(source))
    expected = source.dataset.manifest.files[0]
    path = expected.place(data_root())  # of the two names the one that `data verify` looks at
    if expected.sha256 is not None:
        check_file(path, expected, hint_for(source))
    unpacked = _SIZE_MARGIN * expected.size if expected.content is None else expected.content.size
    return TextFile(path, hint_for(source), limit=unpacked)


def _open(folder: Path) -> CriteoData:
    """Map the arrays. They are private to the process, so that nothing written to them reaches the files."""
    try:
        about = read_json(folder / ABOUT, _ANEW)
        rows, labels = (_mapped(folder / name, about["digests"][name]) for name in (ROWS, LABELS))
        sizes, features = tuple(about["field_sizes"][name] for name in FIELD_NAMES), about["features"]
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise _damaged(folder, str(error) or type(error).__name__) from error
    if rows.shape != (len(labels), FIELDS) or rows.dtype != np.int32 or labels.dtype != np.uint8:
        raise _damaged(folder, f"{rows.shape} rows for {labels.shape} labels")
    if any(type(size) is not int for size in sizes) or sum(sizes) != features:
        raise _damaged(folder, "other numbers of values than were counted")
    return CriteoData(torch.from_numpy(rows), torch.from_numpy(labels), sizes)


def _mapped(path: Path, digest: str) -> np.ndarray:
    if sampled_digest(path, _ANEW) != digest:
        raise ValueError(f"{path.name} is altered")
    return np.lib.format.open_memmap(path, mode="c")


def _damaged(folder: Path, what: str) -> DataError:
    reason = " ".join(what.split())
    return DataError(f"{folder}: damaged ({reason}); {_ANEW}")
