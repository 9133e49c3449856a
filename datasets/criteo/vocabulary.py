"""Which values of a field get an index of their own: counting them in bounded memory, and looking them up."""

from __future__ import annotations

import numpy as np

_LEAST_PENDING = 1 << 18  # distinct values of blocks, gathered before they are merged
_SPREAD = np.uint32(0x9E3779B1)  # odd, near 2³² over the golden ratio: spreads neighbours over the whole range
_COUNT_BITS = np.uint64(32)
_COUNT_MASK = np.uint64((1 << 32) - 1)


def distinct(values: np.ndarray) -> np.ndarray:
    """The distinct values of a (n,) uint32 array with their counts, packed: (d,) uint64, ascending.

    A packed entry is value · 2³² + count, so that one sort orders values and moves their counts along.
    """
    ordered = np.sort(values)
    starts = _run_starts(ordered)
    counts = np.diff(starts, append=len(ordered))
    return ordered[starts].astype(np.uint64) << _COUNT_BITS | counts.astype(np.uint64)


class ValueCounts:
    """How often each value of one field occurs; 8 bytes per distinct value, and as much again while merging."""

    def __init__(self) -> None:
        self.missing = 0
        self._merged = np.empty(0, dtype=np.uint64)
        self._pending: list[np.ndarray] = []
        self._n_pending = 0

    def add(self, packed: np.ndarray, missing: int) -> None:
        """Count the values of a block, from `distinct`, and its missing ones."""
        self.missing += missing
        self._pending.append(packed)
        self._n_pending += len(packed)
        # Waiting for as many as there are keeps the sum of all merges within a logarithm of one.
        if self._n_pending > max(_LEAST_PENDING, len(self._merged)):
            self._merge()

    def vocabulary(self, threshold: int) -> Vocabulary:
        """The values that occur at least `threshold` times."""
        self._merge()
        frequent = self._merged[self._merged & _COUNT_MASK >= threshold]
        return Vocabulary(self.missing >= threshold, (frequent >> _COUNT_BITS).astype(np.uint32))

    def _merge(self) -> None:
        packed = np.concatenate([self._merged, *self._pending])
        self._pending, self._n_pending = [], 0
        packed.sort()
        starts = _run_starts(packed >> _COUNT_BITS)
        if not len(starts):
            return
        counts = np.add.reduceat(packed & _COUNT_MASK, starts)
        self._merged = packed[starts] & ~_COUNT_MASK | counts


class Vocabulary:
    """A field's indices: 0 rare, then missing (if frequent), then the frequent values, ascending.

    A hash table with open addressing, built and asked with arrays: binary search misses the cache and mispredicts
    at every step, and took ten times as long.
    """

    def __init__(self, has_missing: bool, values: np.ndarray) -> None:
        """values: (v,) uint32, the frequent ones, ascending."""
        self.size = 1 + has_missing + len(values)  # how many indices there are
        self._missing = int(has_missing)
        bits = max(4, (4 * len(values)).bit_length())  # at most a quarter of the slots is used
        self._shift = np.uint32(32 - bits)
        self._keys = np.zeros(1 << bits, dtype=np.uint32)
        self._indices = np.zeros(1 << bits, dtype=np.int32)  # 0: a free slot
        self._fill(values, np.arange(1 + has_missing, self.size, dtype=np.int32))

    def encode(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """The index (n,) int32 of each of (n,) uint32 values, or of "missing"."""
        slots = self._first_slots(values)
        indices = self._indices.take(slots)
        lost = np.flatnonzero((self._keys.take(slots) != values) & (indices != 0))
        while len(lost):  # another value has the slot: look into the next one
            slots[lost] = self._next(slots[lost])
            indices[lost] = self._indices.take(slots[lost])
            lost = lost[(self._keys.take(slots[lost]) != values[lost]) & (indices[lost] != 0)]
        indices[missing] = self._missing
        return indices

    def _fill(self, values: np.ndarray, indices: np.ndarray) -> None:
        slots = self._first_slots(values)
        left = np.arange(len(values))
        while len(left):
            free = left[self._indices[slots[left]] == 0]
            # Of several values for one slot the last one written stays; the others try the next slot.
            self._indices[slots[free]] = indices[free]
            left = left[self._indices[slots[left]] != indices[left]]
            slots[left] = self._next(slots[left])
        self._keys[slots] = values

    def _first_slots(self, values: np.ndarray) -> np.ndarray:
        return ((values * _SPREAD) >> self._shift).astype(np.int64)

    def _next(self, slots: np.ndarray) -> np.ndarray:
        return (slots + 1) & (len(self._indices) - 1)


def _run_starts(ordered: np.ndarray) -> np.ndarray:
    """Where a new value begins in a sorted array."""
    if not len(ordered):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
