"""Altered data files: each is loaded or refused in one line, in bounded time, with nothing left over.

`python -m tests.hostile --suite data --count 1000` tries many. A trial takes the files of a small stand-in, alters one
of them, and calls the loader that a run would call. Its number alone decides what is done.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import pickletools
import random
import shutil
import signal
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from datasets.core.errors import DataError
from datasets.core.roots import cache_root, data_root
from datasets.core.source import Source
from datasets.criteo.cache import cache_folder as criteo_folder
from datasets.criteo.load import Preprocessing, load_criteo
from datasets.criteo.standin import CriteoSettings, write_criteo
from datasets.fetch.archive import ArchiveError, extract_members
from datasets.images.cifar import parse_pickle
from datasets.images.load import load_images
from datasets.images.standin import STANDINS as IMAGES
from datasets.images.standin import ImageSettings
from datasets.planetoid.load import load_citation
from datasets.planetoid.standin import STANDINS as CITATION
from datasets.planetoid.standin import write_citation
from datasets.registry import find_dataset, resolve
from datasets.wikitext.cache import cache_folder as wikitext_folder
from datasets.wikitext.load import Tokenization, load_wikitext
from datasets.wikitext.standin import WikiTextSettings, write_wikitext
from datasets.wikitext.text import TextFile, read_words

SECONDS = 30  # for a trial that takes a tenth of one
LONGEST = 1000  # characters of a message, of which the paths are a part

_ROWS, _WORDS = Preprocessing(threshold=2), Tokenization(280)
_LIMIT = 1 << 20
_ODD = (
    *(b"\0", b"\xff", b"\t", b"\n", b"\r", b" ", b'"', b"+", b"-", b".", b"\x85", b"\xef\xbb\xbf", b"\xed\xa0\x80"),
    *(b"9" * 40, b"-9223372036854775808", b"1e999", b"NaN", b"null", b"[" * 5000, b"x" * 5000, b"\n" * 500),
    *("\u2028".encode(), "İ".encode(), b"\x1f\x8b", b"PK\x03\x04", b"\0" * 5000, b"\x93NUMPY\x01\x00"),
)  # fmt: skip
_OPERATIONS = tuple(
    code.encode("latin1") for code in "()]}NKMJUTCBXqrhjcRbtaesu.0125FGIVSPQ" + "".join(map(chr, range(0x80, 0x99)))
)


class HungError(Exception):
    """A trial took too long."""


class Hostile:
    """The suite, as `tests.hostile` takes it."""

    examples = st.integers(0, 2**32)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attempt(self, example: int) -> str:
        """Do one trial in a folder of its own; returns what it altered."""
        folder = self.folder / str(example)
        folder.mkdir()
        try:
            with _alarm():
                trial(example, folder)
        finally:
            shutil.rmtree(folder)
        return _suite(example).__name__[1:]


def trial(number: int, folder: Path) -> None:
    """One trial in an empty folder. Raises whatever a loader raises but DataError, and AssertionError."""
    draw = random.Random(number)
    before = {name: os.environ.get(name) for name in ("DFA_DATA_DIR", "DFA_CACHE_DIR")}
    os.environ |= {"DFA_DATA_DIR": str(folder / "root"), "DFA_CACHE_DIR": str(folder / "cache")}
    try:
        _suite(number)(draw, folder)
    except DataError as error:
        assert str(error).isprintable() and len(str(error)) < LONGEST, f"no line: {error}"
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    left = [path.name for path in folder.rglob(".*") if path.is_dir()]
    assert not left, f"left over: {left}"


def _suite(number: int) -> Callable[[random.Random, Path], None]:
    return _SUITES[number % len(_SUITES)]


def _citation(draw: random.Random, folder: Path) -> None:
    """Raw files of a graph."""
    path = draw.choice(_put(folder / "raw", _good_citation()))
    path.write_bytes(_altered(draw, path.read_bytes(), is_pickle=not path.name.endswith("index")))
    data = load_citation(Source("stand-in", find_dataset("citeseer"), folder / "raw", "altered"))
    assert data.x.isfinite().all() and data.edge_index.numel() and data.edge_index.max() < len(data.x)


def _criteo(draw: random.Random, folder: Path) -> None:
    """Criteo's text, perhaps packed."""
    content = _altered(draw, _good_criteo()["train.txt"])
    name, content = draw.choice([("train.txt", content), ("train.txt.gz", gzip.compress(content, mtime=0))])
    _put(folder / "root" / "criteo", {name: _altered(draw, content) if draw.random() < 0.2 else content})
    data = load_criteo(resolve("criteo", "real"), _ROWS)
    assert int(data.feature_ids.max()) < sum(data.field_sizes)


def _wikitext(draw: random.Random, folder: Path) -> None:
    """One of WikiText's splits."""
    path = draw.choice(_put(folder / "root" / "wikitext-103", _good_wikitext()))
    path.write_bytes(_altered(draw, path.read_bytes()))
    data = load_wikitext(resolve("wikitext103", "real"), _WORDS)
    assert int(data.train.long().max()) < data.vocabulary


def _missing(draw: random.Random, folder: Path) -> None:
    """Something else in a file's place, or a folder's."""
    path = draw.choice(_put(folder / "root" / "wikitext-103", _good_wikitext()))
    path = draw.choice([path, path.parent])
    path.rename(folder / "moved")
    put = draw.choice([Path.mkdir, os.mkfifo, Path.touch, lambda path: path.symlink_to(path.name),
                       lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to("/dev/zero")])  # fmt: skip
    put(path)
    source = resolve("wikitext103", "auto", "smoke")
    assert source.kind == "real" or path.is_dir(), "a stand-in, where somebody had put something"
    if source.kind == "real":
        load_wikitext(source, _WORDS)


def _cached_rows(draw: random.Random, folder: Path) -> None:
    """Encoded rows of Criteo in the cache: what is loaded is what was encoded."""
    _put(folder / "root" / "criteo", _good_criteo())
    good = load_criteo(resolve("criteo", "real"), _ROWS)
    expected = good.feature_ids.clone(), good.labels.clone()
    _alter_one(draw, criteo_folder(resolve("criteo", "real"), _ROWS))
    again = load_criteo(resolve("criteo", "real"), _ROWS)
    assert torch.equal(again.feature_ids, expected[0]) and torch.equal(again.labels, expected[1]), "other rows"
    assert again.field_sizes == good.field_sizes, "other fields"


def _cached_ids(draw: random.Random, folder: Path) -> None:
    """Ids of WikiText in the cache, likewise."""
    _put(folder / "root" / "wikitext-103", _good_wikitext())
    good = load_wikitext(resolve("wikitext103", "real"), _WORDS)
    expected = good.train.clone()
    _alter_one(draw, wikitext_folder(resolve("wikitext103", "real"), _WORDS))
    again = load_wikitext(resolve("wikitext103", "real"), _WORDS)
    assert torch.equal(again.train, expected) and again.words == good.words, "other ids"


def _images(draw: random.Random, folder: Path) -> None:
    """Images in one of their two formats, altered before or behind their compression."""
    name = draw.choice(["mnist", "cifar10"])
    path = draw.choice(_put(folder / "raw", _good_images(name)))
    content = path.read_bytes()
    if path.suffix == ".gz" and draw.random() < 0.5:
        path.write_bytes(gzip.compress(_altered(draw, gzip.decompress(content), within=64), mtime=0))
    else:
        path.write_bytes(_altered(draw, content))
    data = load_images(Source("stand-in", find_dataset(name), folder / "raw", "altered"))
    assert int(data.train.labels.max()) < 10 and len(data.train.images) == len(data.train.labels)


def _pickled_images(draw: random.Random, folder: Path) -> None:
    """A batch of CIFAR-10 as Python wrote it."""
    content = {b"batch_label": b"one", b"labels": [3, 0], b"data": np.zeros((2, 3072), np.uint8), b"filenames": [b"a"]}
    altered = _altered(draw, pickle.dumps(content, protocol=2), is_pickle=True)
    batch = parse_pickle(altered, folder / "data_batch_1", "the hint")
    assert len(batch.labels) == len(batch.images)


def _tar(draw: random.Random, folder: Path) -> None:
    """An archive as Criteo's, altered before or behind its compression."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=draw.choice([0, 1, 2])) as archive:
        for name in ("dac/" + "ü" * 30, "../../train.txt"):
            member = tarfile.TarInfo(name)
            member.size = len(_good_criteo()["train.txt"])
            archive.addfile(member, io.BytesIO(_good_criteo()["train.txt"]))
    inner = draw.random() < 0.5
    content = gzip.compress(_altered(draw, buffer.getvalue(), within=2048) if inner else buffer.getvalue(), mtime=0)
    content = content if inner else _altered(draw, content)
    with contextlib.suppress(ArchiveError):
        extract_members(io.BytesIO(content), {"train.txt": folder / "draft"}, _LIMIT)
    assert {path.name for path in folder.iterdir()} <= {"draft"}, "written elsewhere"


def _zip(draw: random.Random, folder: Path) -> None:
    """An archive as WikiText's."""
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", draw.choice([0, 8, 12, 14])) as archive:
        for name, content in _good_wikitext().items():
            archive.writestr(f"w/{name}", content[:3000])
        archive.writestr("w/ü", "")
    content = path.read_bytes()
    path.write_bytes(
        content[:-300] + _altered(draw, content[-300:]) if draw.random() < 0.5 else _altered(draw, content)
    )
    for _ in read_words(TextFile(path, "the hint", "w/wiki.train.tokens"), lowercase=True):
        pass


def _roots(draw: random.Random, folder: Path) -> None:
    """The two folders that the environment names."""
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere").symlink_to("gone")
    (folder / "file").touch()
    parts = ["~", "~nobody-of-this-name", "..", ".", "", "loop", "nowhere", "file", "a", "\n", "\udcff", "é", "x" * 300]
    value = draw.choice(["", f"{folder}/"]) + "/".join(draw.choices(parts, k=draw.randrange(1, 5)))
    os.environ[draw.choice(["DFA_DATA_DIR", "DFA_CACHE_DIR"])] = value
    assert all(root.is_absolute() and not root.is_file() for root in (data_root(), cache_root()))


_SUITES = (
    *(_citation, _criteo, _citation, _wikitext, _cached_rows, _citation, _cached_ids, _tar, _zip, _missing, _roots),
    *(_images, _pickled_images),
)


@cache
def _good_citation() -> dict[str, bytes]:
    return _written(lambda folder: write_citation(folder, CITATION["citeseer"].settings["smoke"]))


@cache
def _good_images(name: str) -> dict[str, bytes]:
    return _written(lambda folder: IMAGES[name].write(folder, ImageSettings(0, 10, 4)))


@cache
def _good_criteo() -> dict[str, bytes]:
    return _written(lambda folder: write_criteo(folder, CriteoSettings(200)))


@cache
def _good_wikitext() -> dict[str, bytes]:
    files = _written(lambda folder: write_wikitext(folder, WikiTextSettings(7, 1500, 100, 100)))
    return {name: content for name, content in files.items() if name.endswith(".tokens")}


def _written(write: Callable[[Path], None]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def _put(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def _alter_one(draw: random.Random, folder: Path) -> None:
    path = draw.choice(sorted(folder.iterdir()))
    content = _altered(draw, path.read_bytes())
    path.unlink()
    path.write_bytes(content)


def _altered(draw: random.Random, content: bytes, is_pickle: bool = False, within: int | None = None) -> bytes:
    """The content after one to four changes; never the same."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        _change(draw, changed, _boundaries(bytes(changed)) if is_pickle and draw.random() < 0.7 else None, within)
    return bytes(changed) if changed != content else content + b"\0"


def _change(draw: random.Random, content: bytearray, boundaries: list[int] | None, within: int | None) -> None:
    places = boundaries or range(min(len(content), within or len(content)) + 1)
    start, end = sorted(draw.choice(places) for _ in range(2))
    end = min(end, start + draw.choice([1, 1, 8, 100, 1 << 30]))
    kind = draw.randrange(8)
    if kind < 2 and start < len(content):
        content[start] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
    elif kind == 2:
        del content[start:end]
    elif kind == 3:
        content[start:start] = content[start:end] * draw.choice([1, 2])
    elif kind == 4:
        content[start:end] = draw.choice(_ODD)
    elif kind == 5:
        del content[start:]
    elif kind == 6:
        content[start:end] = bytes(end - start)
    else:
        content[start:start] = draw.choice(_OPERATIONS) + draw.randbytes(draw.choice([0, 1, 2, 4]))


def _boundaries(content: bytes) -> list[int]:
    """Where a pickle's instructions begin, as far as it can be read."""
    places = [0]
    with contextlib.suppress(Exception):
        for _, _, place in pickletools.genops(content):
            places.append(place or 0)
    return places


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise HungError(f"more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
