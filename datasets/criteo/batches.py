"""Encoded rows of Criteo: the split, and batches straight from memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from datasets.core.errors import DataError

_LEAST_ROWS = 10  # one for validation, one for test
_DAYS = 7  # of Criteo's file, whose rows are in the order of time


class Split(NamedTuple):
    """Row numbers, int64 and ascending; the three parts are disjoint and cover all rows."""

    train: Tensor
    valid: Tensor
    test: Tensor


class Batch(NamedTuple):
    """feature_ids: (B, 39) int32, indices of embedding rows. labels: (B,) float32, 0 or 1."""

    feature_ids: Tensor
    labels: Tensor


@dataclass(frozen=True)
class CriteoData:
    """All rows, encoded.

    feature_ids: (N, 39) int32, memory-mapped: 13 integer fields, then 26 categorical ones. Every value is the number of
    an embedding row; the fields' numbers follow one another, so that one table serves all fields.
    labels: (N,) uint8, 0 or 1, memory-mapped. field_sizes: values per field; their sum is the number of embedding
    rows.
    """

    feature_ids: Tensor
    labels: Tensor
    field_sizes: tuple[int, ...]

    def split(self, seed: int) -> Split:
        """80% / 10% / 10% of the rows, chosen by a permutation that depends on the seed and the number of rows.

        Raises DataError if there are too few rows for it.
        """
        n_rows = self._enough_rows()
        n_train, n_valid = n_rows * 8 // 10, n_rows // 10
        order = torch.randperm(n_rows, generator=torch.Generator().manual_seed(seed))
        part = torch.full((n_rows,), 2, dtype=torch.uint8)
        part[order[:n_train]] = 0
        part[order[n_train : n_train + n_valid]] = 1
        # Row numbers by part, instead of pieces of the permutation: ascending ones make evaluation read the file
        # in its order, and training shuffles every epoch anyway.
        return Split(*((part == number).nonzero().squeeze(1) for number in range(3)))

    def split_by_days(self) -> Split:
        """The last seventh of the rows for test, the one before for validation, those before for training.

        The rows are of seven days, in the order of time: what is learned is asked about the day after, as in use.

        Raises DataError if there are too few rows for it.
        """
        n_rows = self._enough_rows()
        ends = [n_rows * day // _DAYS for day in (_DAYS - 2, _DAYS - 1, _DAYS)]
        return Split(*(torch.arange(first, end) for first, end in zip([0, *ends], ends, strict=False)))

    def _enough_rows(self) -> int:
        n_rows = len(self.labels)
        if n_rows < _LEAST_ROWS:
            raise DataError(f"{n_rows} rows are too few for training, validation and test; take {_LEAST_ROWS} or more")
        return n_rows


def batches(
    data: CriteoData, indices: Tensor, batch_size: int, *, order_seed: int | None, start: int = 0
) -> Iterator[Batch]:
    """The rows with these numbers, in batches; the last one may be short.

    order_seed: the order depends on it alone; None keeps the order of `indices`. start: the number of the first
    batch; those before it are not read. Raises ValueError for a batch size below 1 or a negative start.
    """
    if batch_size < 1 or start < 0:
        raise ValueError(f"batch_size={batch_size} must be positive and start={start} not negative")
    return _batches(data, indices, batch_size, order_seed, start)


def _batches(data: CriteoData, indices: Tensor, batch_size: int, order_seed: int | None, start: int) -> Iterator[Batch]:
    if order_seed is not None:
        generator = torch.Generator().manual_seed(order_seed)
        indices = indices[torch.randperm(len(indices), generator=generator)]
    # numpy gathers in one thread. PyTorch's gather takes all, which gains nothing for copies this small and, on a
    # machine with other work, cost a factor of forty: every batch waits for threads that are not scheduled.
    rows, labels = data.feature_ids.numpy(), data.labels.numpy()
    for first in range(start * batch_size, len(indices), batch_size):
        chosen = indices[first : first + batch_size].numpy()
        yield Batch(torch.from_numpy(rows.take(chosen, axis=0)), torch.from_numpy(labels.take(chosen)).float())
