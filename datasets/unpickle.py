"""Reading pickles of arrays, sparse matrices and adjacency lists without running anything they name.

A pickle is a program: it names globals and calls them. This reader resolves the few names that files of
arrays contain to inert records, refuses every other name, and builds the arrays itself once the program has
ended, from checked shapes, types and lengths. Neither numpy nor scipy ever sees a state that a file made
up.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from datasets.errors import DataError

_NUMBER = re.compile(r"(b1|[iu][1248]|f[248])")

# What a malformed pickle makes the unpickler, or a record, raise.
_MALFORMED = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)

_MEMO_WRITES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


class _Record:
    """An inert object in place of a global.

    All are classes with `__setstate__`, so that a pickle can neither set attributes on a record unchecked
    nor, for want of an instance, on the class.
    """

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a state for an object that has none")


class _Marker(_Record):
    """Stands for a class that is only mentioned as an argument (`numpy.ndarray`, `list`)."""


class _Bytes(_Record):
    """`_codecs.encode(text, "latin1")`: how Python 3 writes bytes in pickles of protocol 2."""

    def __new__(cls, text: str = "", encoding: str = "") -> Any:
        if encoding != "latin1":
            raise ValueError(f"bytes in the encoding {encoding!r}")
        return text.encode("latin1")


class _Mapping(dict, _Record):
    """`collections.defaultdict(list)`, without its factory."""

    def __init__(self, factory: Any = None) -> None:
        super().__init__()


class _Dtype(_Record):
    """`numpy.dtype(code)`; the state adds the byte order."""

    def __init__(self, code: str, align: Any = False, copy: Any = True) -> None:
        if not _NUMBER.fullmatch(code):
            raise ValueError(f"array type {code!r} is not a plain number")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"byte order {order!r}")
        self.value = self.value.newbyteorder(order)


class _Array(_Record):
    """`numpy.core.multiarray._reconstruct(…)`; the state holds shape, type and content."""

    def __init__(self, subtype: Any, shape: Any, code: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self.state = tuple(state)

    def build(self) -> np.ndarray:
        _, shape, dtype, fortran, raw = self.state
        if not isinstance(dtype, _Dtype):
            raise TypeError("array without a type")
        raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        shape = _checked_shape(shape)
        if math.prod(shape) * dtype.value.itemsize != len(raw):
            raise ValueError(f"array of shape {shape} with {len(raw)} bytes")
        return np.frombuffer(raw, dtype.value).reshape(shape, order="F" if fortran else "C")


class _SparseMatrix(_Record):
    """`scipy.sparse.csr_matrix`; the state is its attributes."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = dict(state)

    def build(self) -> csr_matrix:
        shape = _checked_shape(self.state["_shape"])
        parts = tuple(self.state[key].build() for key in ("data", "indices", "indptr"))
        matrix = csr_matrix(parts, shape=shape)
        # Rows and columns out of bounds would be written to outside of the dense array.
        matrix.check_format(full_check=True)
        return matrix


# Module names as Python 2 or 3 and numpy or scipy before or after their reorganisation wrote them.
_ADMITTED: dict[tuple[str, str], type] = {
    ("_codecs", "encode"): _Bytes,
    ("__builtin__", "list"): _Marker,
    ("builtins", "list"): _Marker,
    ("collections", "defaultdict"): _Mapping,
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("scipy.sparse.csr", "csr_matrix"): _SparseMatrix,
    ("scipy.sparse._csr", "csr_matrix"): _SparseMatrix,
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the admitted names only."""

    def __init__(self, content: bytes, path: Path) -> None:
        # Strings of Python 2 hold raw bytes; latin1 maps them one to one.
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _ADMITTED:
            raise DataError(
                f"{self._path}: refused, the pickle asks for {module}.{name}, "
                f"which no file of arrays needs; do not use this file"
            )
        return _ADMITTED[module, name]


def load_pickle(content: bytes, path: Path, remedy: str) -> np.ndarray | csr_matrix | dict:
    """The array, CSR matrix or dictionary that a pickle holds.

    content: the pickle; path: named in errors; remedy: how errors end.
    Raises DataError if the pickle names a global that is not admitted (which is then neither imported nor
    called), if it is truncated or malformed, or if it holds anything else.
    """
    try:
        _check_sizes(content)
        value = _Unpickler(content, path).load()
        if isinstance(value, (_Array, _SparseMatrix)):
            return value.build()
    except DataError:
        raise
    except _MALFORMED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: truncated or malformed pickle ({reason}); {remedy}") from error
    if isinstance(value, dict):
        return value
    found = type(value).__name__
    raise DataError(f"{path}: the pickle holds {found}, not an array or a dictionary; {remedy}")


def _check_sizes(content: bytes) -> None:
    """Look through a pickle without running it; raises ValueError if it would claim more than it contains.

    The unpickler sets memory aside before it reads: for a string as long as the pickle says, for a memo as
    large as the greatest index. A few wrong bytes are enough to ask for many gigabytes.
    """
    # Reading the strings as genops does fails if they are longer than what is left.
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in _MEMO_WRITES and argument > len(content):
            raise ValueError(f"memo index {argument} in a pickle of {len(content)} bytes")


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"shape {shape!r}")
    return shape
