"""Pickles as Python 2 wrote those of CIFAR-10, put together instruction by instruction."""

from __future__ import annotations

import struct

from datasets.images.cifar import Batch


def as_python_2_wrote_it(batch: Batch) -> bytes:
    """The published file of a batch: a dictionary of names that are bytes, with a list of labels and an array."""
    labels = b"]" + b"(" + b"".join(bytes([ord("K"), label]) for label in batch.labels) + b"e"
    entries = [(b"batch_label", _text(b"a batch")), (b"labels", labels), (b"data", _array(batch))]
    return b"\x80\x02}(" + b"".join(_text(name) + value for name, value in entries) + b"u."


def _text(content: bytes) -> bytes:
    return b"U" + bytes([len(content)]) + content


def _array(batch: Batch) -> bytes:
    """numpy's way: an empty array, then its state: version, shape, type, order, content."""
    pixels = batch.images.tobytes()
    shape = b"M" + struct.pack("<H", len(batch.labels)) + b"M" + struct.pack("<H", 3 * 32 * 32) + b"\x86"
    number = b"cnumpy\ndtype\n" + _text(b"u1") + b"K\x00K\x01\x87R"
    state = b"(K\x03" + _text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _text(b"b") + b"\x87R"
    return empty + b"(K\x01" + shape + number + state + b"\x89" + b"T" + struct.pack("<I", len(pixels)) + pixels + b"tb"
