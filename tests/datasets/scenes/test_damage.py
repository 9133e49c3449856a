"""Files in an image's place that nobody should wait for, closed folders, and damage that Pillow trips over."""

from __future__ import annotations

import itertools
import os
import random
import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.core.errors import DataError
from datasets.scenes.images import check_pixels, inspect_images, list_images
from tests.datasets.permissions import forbid
from tests.datasets.scenes.foreign import DESK, FERN, LEGO, loaded, placed, refused
from tests.helpers.scene_samples import SIZE

SIGNATURE = 8  # bytes at the beginning of a PNG
HEADER = SIGNATURE + 25  # and of its first chunk
IMAGES = {DESK: "images/0003.png", LEGO: "train/r_1.png", FERN: "images_8/image003.png"}


@contextmanager
def released(path: Path, seconds: float = 5.0) -> Iterator[None]:
    """Let whoever waits for a pipe come to its end every so many seconds: no signal ends the waiting itself."""

    def release(*arguments: object) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))

    before = signal.signal(signal.SIGALRM, release)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(
    ("put", "words"),
    [
        (os.mkfifo, "is no regular file"),
        (Path.mkdir, "is a folder, not a file"),
        (loop, "cannot be read (Too many levels of symbolic links)"),
        (lambda path: path.symlink_to("gone.png"), "points to nothing"),
    ],
    ids=["pipe", "folder", "loop of links", "link to nothing"],
)
def test_what_is_no_file_is_never_opened(
    root: Path, capsys, name: str, put: Callable[[Path], None], words: str
) -> None:
    """A run that waits for a pipe in a thread does not end by itself, nor by a signal; a loop was a traceback."""
    path = placed(root, name) / IMAGES[name]
    path.unlink()
    put(path)
    with released(path) if path.is_fifo() else nullcontext():
        message = refused(name, capsys)
    assert str(path) in message and words in message


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def inserted(kind: bytes, content: bytes) -> Callable[[Path], object]:
    """A chunk behind the header."""

    def spoil(path: Path) -> None:
        good = path.read_bytes()
        path.write_bytes(good[:HEADER] + chunk(kind, content) + good[HEADER:])

    return spoil


def without_palette(path: Path) -> None:
    with Image.open(path) as image:
        image.convert("P").save(path)
    good = path.read_bytes()
    start = good.index(b"PLTE") - 4
    path.write_bytes(good[:start] + good[start + 12 + struct.unpack(">I", good[start : start + 4])[0] :])


@pytest.mark.parametrize(
    "spoil",
    [
        without_palette,
        inserted(b"zTXt", b"exif\0\0" + zlib.compress(b"hello")),
        inserted(b"iTXt", b"exif\0\0\0\0\0hello"),
        inserted(b"tEXt", b"transparency\0hello"),
        inserted(b"zTXt", b"transparency\0\0" + zlib.compress(b"hello")),
    ],
    ids=["no palette", "exif is text", "exif is international text", "transparency is text", "and packed text"],
)
def test_chunks_that_contradict_each_other_are_damage(root: Path, capsys, spoil: Callable[[Path], object]) -> None:
    """Pillow believes the chunks of a PNG; what it then runs into are errors of types and assertions."""
    path = placed(root, DESK) / IMAGES[DESK]
    spoil(path)
    assert f"{path} cannot be decoded (" in refused(DESK, capsys)


KINDS = (b"tRNS", b"PLTE", b"eXIf", b"iTXt", b"zTXt", b"gAMA", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND", b"iCCP")


def mutated(draw: random.Random, good: bytes) -> bytes:
    """A PNG whose chunks, one or two of them, are gone, doubled, renamed or altered, with checksums that fit."""
    chunks = []
    place = SIGNATURE
    while place < len(good):
        (size,) = struct.unpack(">I", good[place : place + 4])
        chunks.append((good[place + 4 : place + 8], good[place + 8 : place + 8 + size]))
        place += 12 + size
    for _ in range(draw.choice([1, 2])):
        index = draw.randrange(len(chunks))
        kind, content = chunks.pop(index)
        change = draw.randrange(5)
        if change == 0 and chunks:
            continue
        if change == 1:
            chunks.insert(index, (kind, content))
        if change == 2:
            kind = draw.choice(KINDS)
        if change == 3:
            chunks.insert(index, (draw.choice(KINDS), draw.randbytes(draw.randrange(40))))
        if change == 4 and content:
            altered = bytearray(content)
            altered[draw.randrange(min(len(altered), 30))] = draw.choice([0, 1, 3, 8, 255, draw.randrange(256)])
            content = bytes(altered)
        chunks.insert(draw.randrange(index, len(chunks) + 1), (kind, content))
    return good[:SIGNATURE] + b"".join(itertools.starmap(chunk, chunks))


@pytest.mark.filterwarnings("ignore")  # Pillow's, about palettes and the like
def test_altered_chunks_never_give_another_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of what Pillow raises is never complete: an index out of range came up after a minute of trials."""
    monkeypatch.setattr("datasets.scenes.images._THREADS", 1)
    path = tmp_path / "0.png"
    draw = random.Random(3)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 4), dtype=np.uint8)
    good = []
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        Image.fromarray(pixels).convert(mode).save(path)
        good.append(path.read_bytes())
    for _ in range(600):
        path.write_bytes(mutated(draw, draw.choice(good)))
        try:
            form = inspect_images([path], "fix_hint")
            if form.width * form.height < 1_000_000:
                check_pixels([path], form, "fix_hint")
        except DataError as error:
            assert str(error).isprintable() and str(path) in str(error)


@pytest.mark.parametrize(
    ("name", "mode"),
    [(DESK, 0), (DESK, 0o444), (LEGO, 0), (LEGO, 0o444), (FERN, 0), (FERN, 0o444), (FERN, 0o311)],
)  # at 311, images that the camera file names can be opened
def test_a_folder_of_images_that_may_not_be_read_is_the_cause_that_is_named(
    root: Path, capsys, monkeypatch: pytest.MonkeyPatch, name: str, mode: int
) -> None:
    """It was a traceback, or said to be images that are missing, after which people look for images."""
    folder = (placed(root, name) / IMAGES[name]).parent
    forbid(monkeypatch, folder, mode)
    message = refused(name, capsys)
    assert str(folder) in message and "cannot be read (Permission denied); " in message and "missing" not in message


def test_a_folder_of_images_that_is_a_link_to_nothing_is_named(root: Path) -> None:
    """Without it the full-size images are downsized in its place, and the link goes unnoticed."""
    folder = placed(root, FERN)
    (folder / "images_8").rename(folder / "images")
    (folder / "images_8").symlink_to("gone")
    with pytest.raises(DataError, match=r"the link \S+/images_8 points to nothing; unpack nerf_llff_data.zip"):
        loaded(FERN)


def test_an_image_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "0.png"
    Image.new("RGB", (SIZE, SIZE)).save(path)

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("datasets.scenes.images.Image.open", refuse)
    with pytest.raises(DataError, match=rf"{path} cannot be read \(Permission denied\); fix_hint$"):
        inspect_images([path], "fix_hint")


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images cannot be read \(No such file or directory\); fix_hint$"):
        list_images(tmp_path / "images", "fix_hint")
