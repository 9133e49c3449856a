"""Archives made to fill the disk, the memory or the day: each is refused after little of it has been read."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import struct
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from datasets.fetch.archive import ArchiveError, extract_members

LIMIT = 100_000
CONTENT = b"the published bytes " * 100


def entry(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type = size, kind
    return made


def packed(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for made, content in members:
            archive.addfile(made, io.BytesIO(content) if content else None)
    return gzip.compress(buffer.getvalue())


WANTED = (entry("train.txt", len(CONTENT)), CONTENT)


def headers(*made: tarfile.TarInfo) -> bytes:
    """Headers alone, with whatever sizes they announce, and ten megabytes of zeros after them."""
    return gzip.compress(b"".join(one.tobuf(tarfile.GNU_FORMAT) for one in made) + bytes(10 << 20))


def with_pax(records: dict[str, str]) -> bytes:
    made = entry("train.txt", len(CONTENT))
    made.pax_headers = records
    return packed((made, CONTENT), form=tarfile.PAX_FORMAT)


def chained(kind: bytes, content: bytes) -> bytes:
    """Two thousand headers about the next header, and a file behind them."""
    head = entry("././@LongLink", len(content), kind).tobuf(tarfile.GNU_FORMAT) + content.ljust(512, b"\0")
    return gzip.compress(2000 * head + WANTED[0].tobuf(tarfile.GNU_FORMAT) + CONTENT.ljust(2048, b"\0") + bytes(1024))


BOMBS = {
    "zeros": (gzip.compress(bytes(50 << 20)), "there is no train.txt in it"),
    "zeros before it": (packed((entry("a", 50 << 20), bytes(50 << 20)), WANTED), "unpacks to more than 100000 bytes"),
    "more than there is": (headers(entry("train.txt", 1 << 50)), "unpacks to more than 100000 bytes"),
    "endless name": (headers(entry("a", 1 << 40, tarfile.GNUTYPE_LONGNAME)), r"1099511627776 bytes of attributes"),
    "endless link": (headers(entry("a", 1 << 40, tarfile.GNUTYPE_LONGLINK)), r"bytes of attributes"),
    "endless attributes": (headers(entry("a", 1 << 40, tarfile.XHDTYPE)), r"bytes of attributes"),
    "attributes of all": (headers(entry("a", 1 << 40, tarfile.XGLTYPE)), r"bytes of attributes"),
    "size in the attributes": (with_pax({"size": str(1 << 50)}), "unpacks to more than"),
    "negative size": (with_pax({"size": "-5"}), "unpacks to more than|damaged"),
    "no size": (with_pax({"size": "many"}), None),
    "holes": (with_pax({"GNU.sparse.size": "90000", "GNU.sparse.map": "0,5"}), "has holes"),
    "truncated": (packed(WANTED)[:-20], "damaged or no tar.gz: Compressed file ended before"),
    "wrong CRC": (packed(WANTED)[:-8] + bytes(8), "damaged or no tar.gz: CRC check failed"),
    "not packed": (b"train.txt", "no tar.gz"),
    "nothing": (b"", "no tar.gz"),
}


@pytest.mark.parametrize(("content", "message"), BOMBS.values(), ids=BOMBS)
def test_little_is_read_and_nothing_else_is_written(content: bytes, message: str | None, tmp_path: Path) -> None:
    """Without it an archive of some megabytes takes hours, or the machine's memory, before it turns out to be none."""
    source, place = io.BytesIO(content), tmp_path / "draft"
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=message) if message else contextlib.nullcontext():
            extract_members(source, {"train.txt": place}, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert not place.exists() or place.stat().st_size <= LIMIT
    assert {path.name for path in tmp_path.iterdir()} <= {"draft"}


def test_an_archive_of_many_files_is_given_up(tmp_path: Path) -> None:
    """tarfile keeps what it knows of each: of 40 million empty ones, as many as fit, that is 40 gigabytes."""
    content = packed(*[(entry(f"f{number}", 0), b"") for number in range(1500)], WANTED)
    with pytest.raises(ArchiveError, match="more than 1000 files in it"):
        extract_members(io.BytesIO(content), {"train.txt": tmp_path / "draft"}, 1 << 30)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (tarfile.GNUTYPE_LONGNAME, b"abcd\0"),
        (tarfile.GNUTYPE_LONGLINK, b"abcd\0"),
        (tarfile.XHDTYPE, b"13 path=abcd\n"),
    ],
)
def test_headers_about_headers_are_given_up(kind: bytes, content: bytes, tmp_path: Path) -> None:
    """tarfile calls itself for each; the error was one of nesting, which named neither the archive nor a remedy."""
    with pytest.raises(ArchiveError, match="too many headers about one file in it"):
        extract_members(io.BytesIO(chained(kind, content)), {"train.txt": tmp_path / "draft"}, 1 << 30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_altered_bytes_never_give_another_error(form: int, tmp_path: Path) -> None:
    """tarfile's readers of headers raise what `int` and `struct` raise; before or behind the compression."""
    draw = random.Random(form)
    long = entry("a" * 90 + "/" + "ü" * 20, 3)
    good = gzip.decompress(packed((long, b"abc"), WANTED, form=form))
    for number in range(200):
        content = bytearray(good if number % 2 else gzip.compress(good))
        for _ in range(draw.choice([1, 1, 4])):
            content[draw.randrange(min(len(content), 4096))] = draw.randrange(256)
        with contextlib.suppress(ArchiveError):
            source = io.BytesIO(gzip.compress(bytes(content)) if number % 2 else bytes(content))
            extract_members(source, {"train.txt": tmp_path / "draft"}, LIMIT)


def test_a_header_with_a_valid_sum_and_a_negative_size_is_refused(tmp_path: Path) -> None:
    """Sizes in base 256 may be negative: a reader that goes back by them never comes to an end."""
    made = bytearray(entry("a", 0).tobuf(tarfile.GNU_FORMAT))
    made[124:136] = b"\xff" * 8 + struct.pack(">i", -1024)
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made[:512])
    with pytest.raises(ArchiveError):
        extract_members(io.BytesIO(gzip.compress(bytes(made) + bytes(4096))), {"train.txt": tmp_path / "draft"}, LIMIT)
