"""Pickles made to exhaust their reader: each is refused in little time and memory, measured in a process of its own."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from base64 import b64encode

import pytest

from tests import REPOSITORY

MEMORY, SECONDS = 400 << 20, 20  # for the reader, beside what the libraries take

# Reads bombs, and tries each in a child with limits of its own: the libraries are loaded only once.
PROGRAM = f"""
import json, os, resource, sys
from base64 import b64decode
from pathlib import Path
from datasets.core.errors import DataError
from datasets.pickles.arrays import load_pickle

def try_out(content):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {MEMORY},) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
    try:
        return "loaded " + type(load_pickle(content, Path("ind.cora.graph"), "the hint")).__name__
    except DataError as error:
        return str(error)

ends = {{}}
for name, content in json.load(sys.stdin).items():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, try_out(b64decode(content)).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read().decode()
    status = os.waitstatus_to_exitcode(os.wait()[1])
    ends[name] = said if status == 0 else f"ended with {{status}}"
json.dump(ends, sys.stdout)
"""

MANY = 300_000
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
CSR = b"cscipy.sparse.csr\ncsr_matrix\n"


def binget(index: int) -> bytes:
    return b"h" + bytes([index])


def tuples(depth: int) -> bytes:
    """(((…))), each with two references to the one before: a hash or a comparison takes 2^depth steps."""
    return b")q\x00" + (binget(0) * 2 + b"\x86q\x00") * depth + b"}" + binget(0)


def array(shape: bytes, content: bytes, dtype: bytes = b"i4") -> bytes:
    """An array with a state as numpy writes it, but for these parts."""
    kind = b"cnumpy\ndtype\n(U" + bytes([len(dtype)]) + dtype + b"K\x00K\x01tR(K\x03U\x01<NNNK\x00K\x00K\x00tb"
    state = b"(K\x01" + shape + kind + b"\x89B" + struct.pack("<I", len(content)) + content + b"tb"
    return RECONSTRUCT + b"(cnumpy\nndarray\nK\x00\x85U\x01btR" + state


def sparse(shape: bytes, data: bytes, indices: bytes, indptr: bytes) -> bytes:
    parts = b"".join(
        b"U" + bytes([len(name)]) + name + value
        for name, value in ((b"_shape", shape), (b"data", data), (b"indices", indices), (b"indptr", indptr))
    )
    return CSR + b")\x81}(" + parts + b"ub."


def numbers(*values: int) -> bytes:
    return array(b"K" + bytes([len(values)]) + b"\x85", struct.pack(f"<{len(values)}i", *values))


def size(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def arrays_of_one(content: bytes, length: int) -> bytes:
    """A dictionary of 9,000 arrays, all of them with the same content, which stands in the file once."""
    parts = content + b"q\x01cnumpy\ndtype\n(U\x02u1tRq\x02" + RECONSTRUCT + b"q\x03}"
    state = b"(K\x01" + size(length) + b"\x85" + binget(2) + b"\x89" + binget(1) + b"t"
    return (
        b"\x80\x02"
        + parts
        + b"".join(size(key) + binget(3) + b"NNN\x87R" + state + b"bs" for key in range(9000))
        + b"."
    )


BOMBS = {
    "key that never hashes": b"\x80\x02" + tuples(200) + b"K\x01s.",
    "key nested too deep to hash": b"\x80\x02}" + b")" + b"\x85" * MANY + b"K\x01s.",
    "value nested too deep": b"\x80\x02}K\x01" + b"]" + b"]a" * MANY + b"s.",
    "list of itself": b"\x80\x02}K\x01]q\x00h\x00as.",
    "dictionary of itself": b"\x80\x02}q\x00K\x01h\x00s.",
    "lists on the stack": b"\x80\x02" + b"]" * (20 << 20) + b".",
    "list that is every node's": b"\x80\x02}(K\x00](" + b"K\x01" * 5000 + b"eq\x00u("
    + b"".join(b"M" + struct.pack("<H", node) + binget(0) for node in range(4000)) + b"u.",
    "number of 2^31 digits": b"\x80\x02}K\x01\x8b\xff\xff\xff\x7f",
    "text of 2^32 bytes": b"\x80\x02X\xff\xff\xff\xff",
    "text of 2^63 bytes": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    "encoding again and again": b"\x80\x02c_codecs\nencode\nq\x00X\0\0\x20\0" + b"x" * (2 << 20)
    + b"X\x06\0\0\0latin1\x86q\x01" + (binget(0) + binget(1) + b"R") * 9000 + b".",
    "text that is every array's": arrays_of_one(
        b"c_codecs\nencode\nX\0\0\x20\0" + b"x" * (2 << 20) + b"X\x06\0\0\0latin1\x86R", 2 << 20),
    "bytes that are every array's": arrays_of_one(b"B\0\0\x20\0" + b"x" * (2 << 20), 2 << 20),
    "tuple of a million": b"\x80\x02(" + b"N" * 9000 + b"tq\x00" + (binget(0) + b"\x85") * 1000 + b".",
    "shape beyond any memory": b"\x80\x02" + array(size(2**31 - 1) * 2 + b"\x86", b"") + b".",
    "shape that overflows": b"\x80\x02" + array(b"(" + size(2**31 - 1) * 9 + b"t", b"") + b".",
    "shape with a negative size": b"\x80\x02" + array(size(-1) * 2 + b"\x86", b"abcd") + b".",
    "columns of nothing": sparse(size(0) + size(2**31 - 1) + b"\x86", numbers(), numbers(), numbers(5)),
    "indices below": sparse(b"K\x01K\x02\x86", numbers(1, 1), numbers(0, -9), numbers(0, 2)),
    "indices beyond": sparse(b"K\x01K\x02\x86", numbers(1, 1), numbers(0, 2), numbers(0, 2)),
    "rows backwards": sparse(b"K\x03K\x02\x86", numbers(1, 1), numbers(0, 1), numbers(0, 9, 1, 2)),
    "rows from elsewhere": sparse(b"K\x01K\x02\x86", numbers(1, 1), numbers(0, 1), numbers(1, 2)),
    "fewer rows": sparse(b"K\x03K\x02\x86", numbers(1, 1), numbers(0, 1), numbers(0, 2)),
    "fewer values": sparse(b"K\x01K\x02\x86", numbers(1), numbers(0, 1), numbers(0, 2)),
    "two axes of indices": sparse(b"K\x01K\x02\x86", numbers(1, 1), array(b"K\x01K\x02\x86", bytes(8)), numbers(0, 2)),
    "three axes": sparse(b"K\x01K\x02K\x01\x87", numbers(1, 1), numbers(0, 1), numbers(0, 2)),
    "half precision": sparse(b"K\x01K\x02\x86", array(b"K\x02\x85", bytes(4), b"f2"), numbers(0, 1), numbers(0, 2)),
    "fractions as indices": sparse(
        b"K\x01K\x02\x86", numbers(1, 1), array(b"K\x02\x85", struct.pack("<2f", 0, float("nan")), b"f4"), numbers(0, 2)
    ),
    "array that is its own type": RECONSTRUCT + b"NNN\x87Rq\x00(K\x01)h\x00\x89C\x00tb.",
    "matrix of itself": CSR + b")\x81q\x00}(U\x06_shapeK\x01K\x01\x86U\x04datah\x00ub.",
    "state for a number": b"\x80\x02K\x01}b.",
    "call of a number": b"\x80\x02K\x01)R.",
    "endless name": b"\x80\x02c" + b"x" * (20 << 20),
    "name on several lines": b"\x80\x04\x8c\x03a\nb\x8c\x03c\nd\x93.",
    "nothing on the stack": b"\x80\x02\x87.",
    "no bytes": b"",
}  # fmt: skip


# Nothing is set aside for these.
HARMLESS = {
    "memo of 2^32": b"\x80\x02}r\xff\xff\xff\xff.",
    "frame of 2^63 bytes": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.",
}


@pytest.fixture(scope="module")
def ends() -> dict[str, str]:
    """What the reader says to each bomb, or how it ended."""
    bombs = {name: b64encode(content).decode() for name, content in {**BOMBS, **HARMLESS}.items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(bombs),
        capture_output=True,
        cwd=REPOSITORY,
        env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", BOMBS)
def test_it_is_refused_in_one_line(ends: dict[str, str], name: str) -> None:
    """Without it a file of some hundred bytes hangs the run, ends the process or fills the machine."""
    assert ends[name].startswith("ind.cora.graph: ")
    assert "\n" not in ends[name] and len(ends[name]) < 400


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_announced_is_not_set_aside(ends: dict[str, str], name: str) -> None:
    """Without it a few wrong bytes ask for a memo or a frame of many gigabytes."""
    assert ends[name] == "loaded dict"
