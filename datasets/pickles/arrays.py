"""Reading pickles of arrays, sparse matrices and adjacency lists without running anything they name.

A published file is read only after its checksum has been verified. What is left to read here without one is little: the
stand-ins, and files that somebody wrote in their place. So the list of what is admitted is short: three kinds of
content, the few names that they need (`_ADMITTED`), and the instructions for these (`pickles.program`). The
arrays are built here, once the program has ended, from checked shapes, types and lengths: neither numpy nor scipy ever
sees a state that a file made up.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from scipy.sparse import csr_matrix

from datasets.core.errors import DataError, shown
from datasets.pickles.program import PickleProgram, Record

LIMIT = 32 << 20  # bytes of a file; the largest published one, a batch of CIFAR-10, has 31.0e6

_NUMBER = re.compile(r"(b1|[iu][1248]|f[248])")
_SPARSE_NUMBERS = "biuf"  # kinds of numbers that a sparse matrix may hold
_MOST_AXES = 2
_LONGEST = (1 << 31) - 1  # rows, columns or entries

# What a malformed pickle makes the machine, or a record, raise.
_MALFORMED = (ValueError, TypeError, IndexError, KeyError, struct.error)


class _Marker(Record):
    """Stands for a class that is only mentioned as an argument (`numpy.ndarray`, `list`)."""


class _Bytes(Record):
    """`_codecs.encode(text, "latin1")`: how Python 3 writes bytes in pickles of protocol 2."""

    def __init__(self, text: str, encoding: str) -> None:
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError(f"bytes in the encoding {shown(encoding)}")
        # Encoded when an array is built: a program may name one text any number of times.
        self.text = text


class _Dtype(Record):
    """`numpy.dtype(code)`; the state adds the byte order."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        text = _text(code)
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"array type {shown(text)} is not a plain number")
        self.value = np.dtype(text)

    def set_state(self, state: Any) -> None:
        order = _text(state[1])
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {shown(order)}")
        self.value = self.value.newbyteorder(cast(Any, order))


class _Array(Record):
    """`numpy.core.multiarray._reconstruct(…)`; the state holds shape, type and content."""

    def __init__(self, subtype: Any, shape: Any, code: Any) -> None:
        self._state: Any = ()

    def set_state(self, state: Any) -> None:
        self._state = state

    def n_bytes(self) -> int:
        """The size of its content, which other arrays of the program may have as well."""
        raw = self._state[4]
        return len(raw.text if isinstance(raw, _Bytes) else raw)

    def build(self) -> np.ndarray:
        _, shape, dtype, fortran, raw = self._state
        if not isinstance(dtype, _Dtype):
            raise TypeError("array without a type")
        content = raw.text.encode("latin1") if isinstance(raw, _Bytes) else raw
        if not isinstance(content, bytes):
            raise TypeError("array without content")
        shape = _checked_shape(shape)
        if math.prod(shape) * dtype.value.itemsize != len(content):
            raise ValueError(f"array of shape {shape} with {len(content)} bytes")
        return np.frombuffer(content, dtype.value).reshape(shape, order="F" if fortran is True else "C")


class _SparseMatrix(Record):
    """`scipy.sparse.csr_matrix`; the state is its attributes."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}

    def set_state(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise TypeError("sparse matrix without attributes")
        self._state = {_text(key): value for key, value in state.items()}

    def build(self) -> csr_matrix:
        shape = _checked_shape(self._state["_shape"])
        if len(shape) != 2:
            raise ValueError(f"sparse matrix of shape {shape}")
        data, indices, indptr = (self._part(key) for key in ("data", "indices", "indptr"))
        _check_rows(shape, data, indices, indptr)
        return csr_matrix(
            (data, indices.astype(np.int32, copy=False), indptr.astype(np.int32, copy=False)), shape=shape
        )

    def _part(self, key: str) -> np.ndarray:
        part = self._state[key]
        if not isinstance(part, _Array):
            raise TypeError(f"sparse matrix whose {key} are no array")
        array = part.build()
        if array.ndim != 1:
            raise ValueError(f"sparse matrix whose {key} have the shape {array.shape}")
        return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_rows(shape: tuple[int, ...], data: np.ndarray, indices: np.ndarray, indptr: np.ndarray) -> None:
    """Entries out of bounds would be read, or made dense, outside of the arrays' memory."""
    if data.dtype.kind not in _SPARSE_NUMBERS or data.dtype == np.float16:
        raise ValueError(f"sparse matrix of {data.dtype}")
    if indices.dtype.kind not in "iu" or indptr.dtype.kind not in "iu":
        raise ValueError("sparse matrix whose indices are no whole numbers")
    if len(indptr) != shape[0] + 1 or len(indices) != len(data):
        raise ValueError(f"sparse matrix of shape {shape} with {len(indptr)} bounds and {len(indices)} indices")
    if indptr[0] != 0 or indptr[-1] != len(indices) or (indptr[1:] < indptr[:-1]).any():
        raise ValueError("sparse matrix whose rows do not follow one another")
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        raise ValueError(f"sparse matrix with indices outside of its {shape[1]} columns")


# Module names as Python 2 or 3 and numpy or scipy before or after their reorganisation wrote them.
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _Bytes,
    ("__builtin__", "bytes"): lambda: b"",
    ("builtins", "bytes"): lambda: b"",
    ("__builtin__", "list"): _Marker,
    ("builtins", "list"): _Marker,
    ("collections", "defaultdict"): lambda factory: {},
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("scipy.sparse.csr", "csr_matrix"): _SparseMatrix,
    ("scipy.sparse._csr", "csr_matrix"): _SparseMatrix,
}


def load_pickle(content: bytes, path: Path, fix_hint: str) -> np.ndarray | csr_matrix | dict[Any, Any]:
    """The array, CSR matrix or dictionary that a pickle holds; time and memory are proportional to its length.

    content: the pickle, of `LIMIT` bytes at most; path: named in errors; fix_hint: how errors end. A dictionary holds
    no other; its values are numbers, texts, arrays and lists, which hold, all together, no more numbers (of arrays:
    bytes) than the pickle has bytes.
    Raises DataError if the pickle names a global that is not admitted (which is then neither imported nor
    called), if it is truncated or malformed, or if it holds anything else.
    """

    def find(module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in _ADMITTED:
            raise DataError(
                f"{path}: refused, the pickle asks for {module[:80]}.{name[:80]}, "
                f"which no file of arrays needs; do not use this file"
            )
        return _ADMITTED[module, name]

    try:
        value = PickleProgram(content, find).run()
        if isinstance(value, (_Array, _SparseMatrix)):
            return value.build()
        if isinstance(value, dict):
            if _entries(value) > len(content):
                raise ValueError("a dictionary whose values are one list, or one content of arrays, many times")
            return _with_arrays(value)
    except DataError:
        raise
    except _MALFORMED as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{path}: truncated or malformed pickle ({reason}); {fix_hint}") from error
    found = type(value).__name__
    raise DataError(f"{path}: the pickle holds {found}, not an array or a dictionary; {fix_hint}")


def _with_arrays(value: dict[Any, Any]) -> dict[Any, Any]:
    """The dictionary with its arrays built, one that stands at several keys once."""
    built = {id(part): part.build() for part in value.values() if isinstance(part, _Array)}
    return {key: built.get(id(part), part) for key, part in value.items()}


def _entries(value: dict[Any, Any]) -> int:
    """The entries of all lists and the bytes of all arrays: a program may name one content any number of times."""
    arrays = {id(part): part for part in value.values() if isinstance(part, _Array)}
    lists = (len(part) for part in value.values() if isinstance(part, list))
    return sum(lists) + sum(array.n_bytes() for array in arrays.values())


def _text(value: Any) -> str:
    """A short text; Python 2 wrote them as bytes."""
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise TypeError(f"{type(value).__name__} in place of a text")
    return text


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(shape) > _MOST_AXES or any(type(size) is not int for size in shape):
        raise ValueError("a shape that is none of at most two whole numbers")
    if any(not 0 <= size <= _LONGEST for size in shape):
        raise ValueError(f"shape {shape}")
    return shape
