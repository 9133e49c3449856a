"""Labelled images as tensors; a stand-in is generated first if it is not there yet. No file is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets.core.content import unpacked
from datasets.core.errors import DataError
from datasets.core.files import is_file, read_file
from datasets.core.manifest import read_checked
from datasets.core.source import Source, hint_for, prepare
from datasets.images.cifar import Batch, parse_records, read_pickle
from datasets.images.idx import parse_idx
from datasets.images.manifest import BATCHES, CIFAR_CONTENT, CLASSES, IDX_FILES

_LARGEST = 1 << 28  # bytes of an unpacked file without a manifest; the largest of ours has 4.7e7


class Images(NamedTuple):
    """images: ``(n, channels, height, width)`` uint8. labels: ``(n,)`` int64 in [0, classes)."""

    images: Tensor
    labels: Tensor


class ImageData(NamedTuple):
    """A dataset's two published parts."""

    train: Images
    test: Images


def load_images(source: Source) -> ImageData:
    """The images of a source. Raises DataError if a file is missing, altered, truncated or at odds with the others."""
    prepare(source)
    return _load_cifar(source) if source.name == "cifar10" else _load_idx(source)


def _load_idx(source: Source) -> ImageData:
    files = [_idx_array(source, name, dims) for name, dims in zip(IDX_FILES, (3, 1, 3, 1), strict=True)]
    (train_path, train), (_, train_labels), (test_path, test), (_, test_labels) = files
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{test_path}: images of {test.shape[1:]}, where {train_path.name} has {train.shape[1:]}; "
            f"{hint_for(source)}"
        )
    return ImageData(
        _images(source, train_path, Batch(train_labels, train[:, None])),
        _images(source, test_path, Batch(test_labels, test[:, None])),
    )


def _idx_array(source: Source, name: str, dims: int) -> tuple[Path, np.ndarray]:
    """The path and the content of one IDX file, which may be unpacked already."""
    packed, plain = source.folder / name, source.folder / name.removesuffix(".gz")
    path = plain if is_file(plain) and not is_file(packed) else packed
    hint = hint_for(source)
    if source.kind == "real":
        content = read_checked(path, source.dataset.manifest.find(name), hint)
    else:
        content = read_file(path, hint, _LARGEST)
    return path, parse_idx(unpacked(content, path, _LARGEST, hint), dims, path, hint)


def _load_cifar(source: Source) -> ImageData:
    paths, batches = zip(*(_cifar_batch(source, name) for name in BATCHES), strict=True)
    *train, test = batches
    joined = Batch(*(np.concatenate(parts) for parts in zip(*train, strict=True)))
    return ImageData(_images(source, paths[0], joined), _images(source, paths[-1], test))


def _cifar_batch(source: Source, name: str) -> tuple[Path, Batch]:
    binary, pickled = source.folder / f"{name}.bin", source.folder / name
    hint = hint_for(source)
    if source.kind == "real" and is_file(pickled) and not is_file(binary):
        return pickled, read_pickle(pickled, CIFAR_CONTENT[name], hint)
    if source.kind == "real":
        content = read_checked(binary, source.dataset.manifest.find(binary.name), hint)
    else:
        content = read_file(binary, hint, _LARGEST)
    return binary, parse_records(content, binary, hint)


def _images(source: Source, path: Path, batch: Batch) -> Images:
    """The tensors of one part, whose labels are checked."""
    if len(batch.labels) != len(batch.images) or not len(batch.labels) or not batch.images.size:
        raise DataError(f"{path}: {batch.images.shape} pixels for {len(batch.labels)} labels; {hint_for(source)}")
    if batch.labels.max() >= CLASSES:
        bad = int((batch.labels >= CLASSES).argmax())
        raise DataError(
            f"{path}: image {bad} has the label {batch.labels[bad]}, where there are {CLASSES} classes; "
            f"{hint_for(source)}"
        )
    return Images(torch.from_numpy(batch.images.copy()), torch.from_numpy(batch.labels.astype(np.int64)))
