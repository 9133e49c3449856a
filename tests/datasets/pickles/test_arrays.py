"""The restricted unpickler: it gives what pickle gives, runs nothing, and fails in one way only."""

from __future__ import annotations

import collections
import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, issparse, random_array

from datasets.core.errors import DataError
from datasets.pickles.arrays import load_pickle

PATH = Path("raw/ind.cora.allx")
MATRIX = csr_matrix(random_array((6, 5), density=0.4, rng=0, dtype=np.float32))
SPARSE_PICKLE = pickle.dumps(MATRIX, protocol=2)


def load(content: bytes) -> object:
    return load_pickle(content, PATH, "fetch it")


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<f8", "<f4", "|b1", "|u1", "<i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_equal_what_pickle_gives(dtype: str, order: str, protocol: int) -> None:
    array = np.array([[0, 1, 2], [3, 0, 255]]).astype(dtype, order=order)
    loaded = load(pickle.dumps(array, protocol=protocol))
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


def test_sparse_matrix_equals_what_pickle_gives() -> None:
    loaded = load(SPARSE_PICKLE)
    assert issparse(loaded) and loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded.toarray(), MATRIX.toarray())


def test_names_written_by_python_2_are_read() -> None:
    # A hand-written pickle as numpy 1 under Python 2 wrote it: raw bytes in a byte string.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02i4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08\x07\x00\x00\x00\xfe\xff\xff\xfftb."
    )
    np.testing.assert_array_equal(load(content), [7, -2])
    neighbours = b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(K\x00]K\x01aK\x01]K\x00au."
    assert load(neighbours) == {0: [1], 1: [0]}


def test_neighbour_lists_equal_what_pickle_gives() -> None:
    graph = collections.defaultdict(list, {2: [0, 1], 0: [2], 1: [2]})
    assert list(load(pickle.dumps(graph, protocol=2)).items()) == list(graph.items())


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_dictionaries_of_arrays_equal_what_pickle_gives(protocol: int) -> None:
    """Arrays of one byte have their content from Python's own store, and an array may stand at several keys."""
    image = np.arange(200, 250, dtype=np.uint8).reshape(5, 10)
    single = {number: np.array([number % 3], np.uint8) for number in range(400)}
    loaded = load(pickle.dumps(single | {"data": image, "again": image, "labels": [7] * 90}, protocol=protocol))
    assert loaded["data"] is loaded["again"] and loaded["labels"] == [7] * 90
    np.testing.assert_array_equal(loaded["data"], image)
    assert [loaded[number].tolist() for number in single] == [[number % 3] for number in single]


def test_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps(Call(os.system, f"touch {mark}"), protocol=2)
    with pytest.raises(DataError, match=r"ind\.cora\.allx: refused.*(posix|nt)\.system"):
        load(content)
    assert not mark.exists()
    pickle.loads(content)  # proof that the pickle would have run
    assert mark.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"cnumpy\nfromfile\n(S'/etc/hostname'\ntR.", "numpy.fromfile"),
        (b"cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "numpy.ndarray.tofile"),
        (b"ccollections\nOrderedDict\n.", "collections.OrderedDict"),
    ],
)
def test_other_globals_are_refused_by_name(content: bytes, named: str) -> None:
    with pytest.raises(DataError, match=f"refused, the pickle asks for {named},"):
        load(content)


def test_a_pickle_cannot_alter_the_reader() -> None:
    # BUILD on an admitted class itself would set an attribute on it for every later file.
    content = b"cnumpy\ndtype\n}U\x05valueU\x06spoiltsb."
    with pytest.raises(DataError, match="malformed"):
        load(content)
    np.testing.assert_array_equal(load(pickle.dumps(np.arange(3), protocol=2)), [0, 1, 2])


def test_codes_run_by_name_stay_bytes() -> None:
    with pytest.raises(DataError, match="encoding 'zip'"):
        load(b"c_codecs\nencode\n(X\x01\0\0\0xX\x03\0\0\0ziptR.")


def test_object_arrays_are_refused() -> None:
    with pytest.raises(DataError, match="not a plain number"):
        load(pickle.dumps(np.array([{}, []], dtype=object), protocol=2))


@pytest.mark.parametrize(("part", "value"), [("indices", 10**6), ("indices", -1), ("indptr", 10**6)])
def test_sparse_indices_out_of_bounds_are_refused(part: str, value: int) -> None:
    """Made dense, such a matrix writes outside of its memory."""
    spoilt = MATRIX.copy()
    getattr(spoilt, part)[-1] = value
    with pytest.raises(DataError, match=r"ind\.cora\.allx: truncated or malformed pickle \("):
        load(pickle.dumps(spoilt, protocol=2))


@pytest.mark.parametrize(
    "code", [b"S'x'\n", b"\x8a\x01\x05", b"\x8b\xff\xff\xff\x7f", b"I5\n", b"G", b"0", b"2", b"Q", b"\x8f"]
)
def test_instructions_that_no_array_needs_are_refused(code: bytes) -> None:
    """Each one more is one more to get wrong: LONG4 with two billion digits, DUP that doubles, sets that hash."""
    with pytest.raises(
        DataError, match=r"malformed pickle \(instruction [A-Z0-9_]+ at byte 2, which no file of arrays"
    ):
        load(b"\x80\x02" + code + b".")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02]r\x00\x00\x00\x01.",  # a list put under memo index 2^24
        b"\x80\x05\x96\x00\x00\x00\x00\x00\x01\x00\x00abc.",  # a byte array of 2^40 bytes
        b"\x80\x03B\xff\xff\xff\x7fabc.",  # likewise a byte string
    ],
)
def test_a_few_bytes_cannot_ask_for_gigabytes(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            load(content)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [3, "text", [1, 2], None])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(DataError, match="not an array or a dictionary; fetch it"):
        load(pickle.dumps(value, protocol=2))


def test_every_truncation_is_one_clear_line() -> None:
    for length in range(len(SPARSE_PICKLE)):
        with pytest.raises(DataError) as caught:
            load(SPARSE_PICKLE[:length])
        message = str(caught.value)
        assert message.startswith(f"{PATH}: ") and message.endswith("; fetch it") and "\n" not in message


@given(position=st.integers(0, len(SPARSE_PICKLE) - 1), byte=st.integers(0, 255))
@settings(max_examples=300)
def test_an_altered_byte_never_gives_another_error(position: int, byte: int) -> None:
    content = bytearray(SPARSE_PICKLE)
    content[position] = byte
    try:
        load(bytes(content))
    except DataError as error:
        assert "\n" not in str(error)
