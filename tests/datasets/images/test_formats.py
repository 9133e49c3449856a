"""The formats of image files, against files that are written here byte by byte."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from datasets.core.content import Content, read_content
from datasets.core.errors import DataError
from datasets.images.cifar import Batch, parse_pickle, parse_records, records_of
from datasets.images.idx import parse_idx, write_idx
from tests.datasets.images.python2 import as_python_2_wrote_it

PATH = Path("train-images-idx3-ubyte")
TWO_BY_THREE = b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + bytes([1, 2, 3, 4, 5, 6])


def batch_of(count: int) -> Batch:
    rng = np.random.default_rng(0)
    return Batch(
        rng.integers(10, size=count).astype(np.uint8), rng.integers(256, size=(count, 3, 32, 32), dtype=np.uint8)
    )


def test_an_idx_file_is_read_as_its_header_says():
    assert parse_idx(TWO_BY_THREE, 2, PATH, "hint").tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("content", "dims", "said"),
    [
        (TWO_BY_THREE[:9], 2, "9 bytes, where the header alone has 12"),
        (TWO_BY_THREE, 1, "begins with 00 00 08 02, where IDX of 1 dims begins with 00 00 08 01"),
        (TWO_BY_THREE.replace(b"\x08", b"\x0d"), 2, "begins with 00 00 0d 02"),
        (TWO_BY_THREE[:-1], 2, r"5 bytes of entries, where the shape \(2, 3\) has 6"),
        (TWO_BY_THREE + b"\0", 2, r"7 bytes of entries"),
        (b"\0\0\x08\x02" + b"\xff" * 8, 2, "0 bytes of entries"),
    ],
)
def test_a_bad_idx_file_is_one_line(content, dims, said):
    with pytest.raises(DataError, match=rf"train-images-idx3-ubyte: {said}.*; hint$"):
        parse_idx(content, dims, PATH, "hint")


def test_what_is_written_is_read_again_and_always_the_same_bytes(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, array)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert np.array_equal(parse_idx(gzip.decompress((tmp_path / "a.gz").read_bytes()), 3, PATH, "hint"), array)
    with pytest.raises(ValueError, match="float64"):
        write_idx(tmp_path / "c.gz", array.astype(float))


def test_a_record_is_a_label_and_three_planes():
    content = bytes([7]) + bytes([10]) * 1024 + bytes([20]) * 1024 + bytes([30]) * 1024
    batch = parse_records(content, PATH, "hint")
    assert batch.labels.tolist() == [7]
    assert [plane.tolist() for plane in batch.images[0, :, 31, 31]] == [10, 20, 30]
    assert records_of(batch) == content


@pytest.mark.parametrize("content", [b"", bytes(3072), bytes(3074)])
def test_records_that_are_no_whole_ones_are_one_line(content):
    with pytest.raises(DataError, match=r"bytes are no records of 3073; hint$"):
        parse_records(content, PATH, "hint")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_pickle_holds_what_the_records_do(protocol):
    """Each newer pickle has instructions of its own."""
    batch = batch_of(5)
    content = {"data": batch.images.reshape(5, -1), "labels": batch.labels.tolist(), "batch_label": "a batch"}
    found = parse_pickle(pickle.dumps(content, protocol=protocol), PATH, "hint")
    assert records_of(found) == records_of(batch)


def test_a_pickle_of_python_2_holds_what_the_records_do():
    """It is what is published: names and pixels are bytes there."""
    batch = batch_of(3)
    content = as_python_2_wrote_it(batch)
    assert pickle.loads(content, encoding="bytes")[b"labels"] == batch.labels.tolist()
    assert records_of(parse_pickle(content, PATH, "hint")) == records_of(batch)


GOOD = {"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": None}, "its data are no rows of bytes"),
        ({"data": np.zeros((2, 3072))}, "its data are no rows of bytes"),
        ({"data": np.zeros((3, 3072), np.uint8)}, "do not fit its labels"),
        ({"data": np.zeros((2, 3071), np.uint8)}, "do not fit its labels, or 3072 an image"),
        ({"labels": [1, 256]}, "its labels are no bytes"),
        ({"labels": [1, "a"]}, "its labels are no bytes"),
        ({"labels": 5}, "do not fit its labels"),
    ],
)
def test_a_pickle_of_something_else_is_one_line(change, said):
    with pytest.raises(DataError, match=rf"{said}.*; hint$"):
        parse_pickle(pickle.dumps(GOOD | change, protocol=2), PATH, "hint")


def test_a_pickle_that_is_an_array_is_one_line():
    with pytest.raises(DataError, match="holds no dictionary"):
        parse_pickle(pickle.dumps(np.zeros(3), protocol=2), PATH, "hint")


# Content ---------------------------------------------------------------------------------------------------------

HELD = Content(5, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")  # of b"hello"


@pytest.mark.parametrize(
    "content", [b"hello", gzip.compress(b"hello", mtime=0), gzip.compress(b"hello", 1, mtime=5)], ids=range(3)
)
def test_a_file_is_known_by_what_it_holds(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert read_content(tmp_path / "a", HELD, "hint") == b"hello"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"jello", "holds something else: sha256"),
        (b"hell", "holds 4 bytes where 5 are expected"),
        (b"hello!", "holds more than 5 bytes"),
        (gzip.compress(b"hello" * 1000, mtime=0), "holds more than"),
        (gzip.compress(b"hello", mtime=0)[:-3], "is damaged"),
        (gzip.compress(b"hello", mtime=0)[:-8] + bytes(8), r"is damaged \(CRC"),
        (b"\x1f\x8b", "is damaged"),
    ],
)
def test_another_content_is_one_line(tmp_path, content, said):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=rf"{said}.*; hint$"):
        read_content(tmp_path / "a", HELD, "hint")


def test_a_few_bytes_that_unpack_to_gigabytes_are_not_unpacked(tmp_path):
    """Without a bound a file of a megabyte fills the memory."""
    (tmp_path / "a").write_bytes(gzip.compress(bytes(10 << 20)))
    with pytest.raises(DataError, match="holds more than 100000 bytes"):
        read_content(tmp_path / "a", Content(100_000, ""), "hint")
