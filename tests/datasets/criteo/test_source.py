"""Criteo's sources and the cache of encoded rows: made once, by one process, and never half."""

from __future__ import annotations

import gzip
import io
import json
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from datasets import registry
from datasets.core import sole_writer
from datasets.core.content import Content
from datasets.core.errors import DataError
from datasets.core.manifest import sampled_digest
from datasets.criteo import cache as criteo_cache
from datasets.criteo import preprocess
from datasets.criteo.cache import cache_folder
from datasets.criteo.load import Preprocessing, load_criteo
from datasets.criteo.preprocess import ABOUT, LABELS, ROWS
from datasets.registry import resolve
from tests import REPOSITORY
from tests.helpers.criteo_samples import GOOD, encode_by_hand, random_lines

LINES = random_lines(200)
SETTINGS = Preprocessing(threshold=2)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with Criteo's file, and an empty cache."""
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path / "root"))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "root" / "criteo").mkdir(parents=True)
    write(tmp_path / "root", LINES)
    return tmp_path / "root"


def write(root: Path, lines: list[str]) -> None:
    (root / "criteo" / "train.txt").write_text("".join(f"{text}\n" for text in lines))


def cached() -> list[str]:
    """Names in the cache, without lock files."""
    folder = cache_folder(resolve("criteo"), SETTINGS).parent
    return sorted(path.name for path in folder.glob("*") if path.is_dir())


def in_a_process(before: str, **options: object) -> subprocess.Popen[str]:
    """Load in a process of its own, after some lines of Python."""
    program = (
        "from datasets.criteo import cache as criteo_cache, preprocess as criteo_preprocess; "
        "from datasets.core import sole_writer\nfrom datasets.criteo.load import *\n"
        f"from datasets.registry import resolve\n{before}\n"
        "load_criteo(resolve('criteo'), Preprocessing(threshold=2))\n"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, text=True, **options)


def test_the_real_file_is_loaded(root: Path) -> None:
    source = resolve("criteo")
    data = load_criteo(source, SETTINGS)
    rows, labels, sizes = encode_by_hand(LINES, 2)
    assert source.kind == "real" and np.array_equal(data.feature_ids.numpy(), rows)
    assert data.labels.tolist() == labels and data.field_sizes == tuple(sizes)
    about = json.loads((cache_folder(source, SETTINGS) / ABOUT).read_text())
    assert about["fingerprint"] == source.fingerprint
    assert about["sha256"] == sha256((root / "criteo" / "train.txt").read_bytes()).hexdigest()


def test_text_is_encoded_once_per_file_and_settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every run of a sweep would encode anew, or take the rows of other settings."""
    done = []
    encode = preprocess.preprocess
    monkeypatch.setattr(criteo_cache, "preprocess", lambda *args: done.append(args[2]) or encode(*args))
    chosen = [SETTINGS, SETTINGS, Preprocessing(threshold=3), Preprocessing(2, rows=50), Preprocessing(2, rows=51)]
    sizes = [len(load_criteo(resolve("criteo"), settings).labels) for settings in [*chosen, *chosen]]
    assert sizes == [200, 200, 200, 50, 51] * 2 and done == chosen[1:]
    write(root, LINES[:-1])
    assert len(load_criteo(resolve("criteo"), SETTINGS).labels) == 199


def test_either_name_is_accepted_and_the_content_tells_files_apart(root: Path) -> None:
    """A file without a published checksum is known by its size and samples of it."""
    first = resolve("criteo").fingerprint
    write(root, [GOOD, *LINES[1:]])
    second = resolve("criteo").fingerprint
    plain = root / "criteo" / "train.txt"
    (root / "criteo" / "train.txt.gz").write_bytes(gzip.compress(plain.read_bytes()))
    rows = load_criteo(resolve("criteo"), SETTINGS).feature_ids
    plain.unlink()
    packed = resolve("criteo")
    assert len({first, second, packed.fingerprint}) == 3 and packed.kind == "real"
    assert load_criteo(packed, SETTINGS).feature_ids.equal(rows)


def test_a_change_at_either_end_of_a_large_file_changes_the_fingerprint(root: Path) -> None:
    path = root / "criteo" / "train.txt"
    found = set()
    for place in (None, 0, 5_000_000, 9_999_999):
        content = bytearray(10_000_000)
        if place is not None:
            content[place] = 1
        path.write_bytes(content)
        found.add(resolve("criteo").fingerprint)
    assert len(found) >= 3  # the middle one lies between samples


def test_without_the_file_there_is_a_stand_in(root: Path) -> None:
    (root / "criteo" / "train.txt").unlink()
    source = resolve("criteo", "auto", "smoke")
    assert source.kind == "stand-in" and len(load_criteo(source, Preprocessing()).labels) == 4000
    with pytest.raises(DataError, match=r"python -m benchmarks\.data fetch criteo"):
        resolve("criteo", "real")
    with pytest.raises(DataError, match=r"criteo_10k: no files in .*head -10000 criteo/train.txt"):
        resolve("criteo_10k", "real")


def test_the_first_rows_must_agree_with_their_checksum(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An altered file of 10,000 rows would pass for the published one in every record."""
    content = "".join(f"{text}\n" for text in LINES).encode()
    entry = registry._DATASETS["criteo_10k"]
    file = replace(entry.manifest.files[0], sha256=sha256(content).hexdigest(), size=len(content))
    manifest = replace(entry.manifest, files=(file,))
    monkeypatch.setitem(registry._DATASETS, "criteo_10k", replace(entry, manifest=manifest))
    path = root / "criteo_10k" / "train.txt"
    path.parent.mkdir()
    path.write_bytes(content.replace(b"7", b"8", 1))
    with pytest.raises(DataError, match=r"has sha256 .* is expected; make it from Criteo's full file: head -10000"):
        load_criteo(resolve("criteo_10k"), SETTINGS)
    path.write_bytes(content)
    assert len(load_criteo(resolve("criteo_10k"), SETTINGS).labels) == 200


def test_the_file_that_is_verified_is_the_one_that_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good archive beside half a text was verified; the run then refused the text, and said to fetch the archive."""
    content = "".join(f"{text}\n" for text in LINES).encode()
    entry = registry._DATASETS["criteo_137k"]
    known = Content(len(content), sha256(content).hexdigest())
    manifest = replace(entry.manifest, files=(replace(entry.manifest.files[0], content=known),))
    monkeypatch.setitem(registry._DATASETS, "criteo_137k", replace(entry, manifest=manifest))
    folder = root / "criteo_137k"
    folder.mkdir()
    (folder / "train.txt").write_bytes(content[:1000])
    with pytest.raises(DataError, match=r"criteo_137k/train\.txt holds 1000 bytes where"):
        load_criteo(resolve("criteo_137k"), SETTINGS)
    (folder / "train.txt.gz").write_bytes(gzip.compress(content))
    assert manifest.faults(root) == []
    assert len(load_criteo(resolve("criteo_137k"), SETTINGS).labels) == 200


def test_bad_text_leaves_nothing_in_the_cache(root: Path) -> None:
    write(root, [*LINES, GOOD.rpartition("\t")[0]])
    with pytest.raises(DataError, match=r"train\.txt, line 201: 39 columns.*; fetch it again: \S+ -m benchmarks"):
        load_criteo(resolve("criteo"), SETTINGS)
    assert cached() == []


@pytest.mark.parametrize("moment", ["_encode", "_about"])
def test_a_killed_process_leaves_no_cache_and_the_next_cleans_up(moment: str) -> None:
    """In the second pass, or with all rows written: what lies there is not trusted, and does not stay."""
    kill = f"import os\ncriteo_preprocess.{moment} = lambda *args: os.kill(os.getpid(), 9)"
    assert in_a_process(kill).wait(timeout=60) == -signal.SIGKILL
    assert [name[0] for name in cached()] == ["."]
    data = load_criteo(resolve("criteo"), SETTINGS)
    assert np.array_equal(data.feature_ids.numpy(), encode_by_hand(LINES, 2)[0])
    assert cached() == [cache_folder(resolve("criteo"), SETTINGS).name]


def test_of_two_processes_one_encodes_and_the_other_waits(root: Path) -> None:
    """Two processes of a sweep start at once; neither may see the other's half, nor do the work again."""
    # The one that encodes waits until both have seen that there is no cache and want the lock.
    hook = (
        f"import os, pathlib, time\nwanted = pathlib.Path({str(root.parent / 'wanted')!r})\n"
        "wanted.mkdir(exist_ok=True)\n"
        "lock, encode = sole_writer.FileLock, criteo_cache.preprocess\n"
        "def noted(path):\n    (wanted / str(os.getpid())).touch()\n    return lock(path)\n"
        "def patient(*args):\n    print('encodes', flush=True)\n"
        "    while len(list(wanted.iterdir())) < 2: time.sleep(0.01)\n    encode(*args)\n"
        "sole_writer.FileLock, criteo_cache.preprocess = noted, patient"
    )
    workers = [in_a_process(hook, stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(outputs) == ["", "encodes\n"] and len(cached()) == 1


def test_the_draft_of_a_living_process_is_left_alone() -> None:
    """What another process encodes, with other settings, is no leftover while it holds its lock."""
    folder = cache_folder(resolve("criteo"), SETTINGS).parent
    draft = folder / ".criteo-other-threshold5-rowsall-v1~00ff"
    draft.mkdir(parents=True)
    with FileLock(folder / ".criteo-other-threshold5-rowsall-v1.lock"):
        load_criteo(resolve("criteo"), SETTINGS)
        assert draft.is_dir()
    load_criteo(resolve("criteo"), Preprocessing(threshold=3))
    assert not draft.exists()


@pytest.mark.parametrize("name", [ROWS, LABELS, ABOUT])
def test_a_damaged_cache_is_a_clear_error(name: str) -> None:
    load_criteo(resolve("criteo"), SETTINGS)
    path = cache_folder(resolve("criteo"), SETTINGS) / name
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"damaged \(.*; delete the folder and it is made anew") as caught:
        load_criteo(resolve("criteo"), SETTINGS)
    assert "\n" not in str(caught.value)


def test_rows_altered_in_their_middle_are_a_clear_error() -> None:
    """An index beyond the table ends a run in an error of PyTorch; one within it is learned, and nobody knows."""
    load_criteo(resolve("criteo"), SETTINGS)
    path = cache_folder(resolve("criteo"), SETTINGS) / ROWS
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged \(rows\.npy is altered\); delete the folder"):
        load_criteo(resolve("criteo"), SETTINGS)


def other_about(**changes: object) -> bytes:
    content = json.loads((cache_folder(resolve("criteo"), SETTINGS) / ABOUT).read_text())
    return json.dumps(content | changes).encode()


def about_without(key: str) -> bytes:
    content = json.loads((cache_folder(resolve("criteo"), SETTINGS) / ABOUT).read_text())
    return json.dumps({name: value for name, value in content.items() if name != key}).encode()


@pytest.mark.parametrize(
    "content",
    [
        lambda: b"[" * 100_000,
        lambda: b"[]",
        lambda: b"null",
        lambda: b"9" * 5000,
        lambda: b"\xff",
        lambda: other_about(field_sizes=3),
        lambda: other_about(field_sizes={}),
        lambda: other_about(features="many"),
        lambda: other_about(features=7),
        lambda: other_about(digests=[]),
        *(partial(about_without, key) for key in ("digests", "field_sizes", "features")),
        lambda: other_about(digests={ROWS: None, LABELS: None}),
    ],
)
def test_a_cache_that_describes_itself_wrongly_is_a_clear_error(content: Callable[[], bytes]) -> None:
    """JSON that is nested too deep, or has other types, is damage like any other and no traceback."""
    load_criteo(resolve("criteo"), SETTINGS)
    (cache_folder(resolve("criteo"), SETTINGS) / ABOUT).write_bytes(content())
    with pytest.raises(DataError, match=r"damaged.*; delete the folder and it is made anew") as caught:
        load_criteo(resolve("criteo"), SETTINGS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [ROWS, LABELS])
@pytest.mark.parametrize("made", ["archive", "pickle", "nested", "shape", "big-endian"])
def test_arrays_that_are_none_are_a_clear_error(name: str, made: str) -> None:
    """numpy takes a zip archive for a folder of arrays, and a header for a literal of Python's."""
    load_criteo(resolve("criteo"), SETTINGS)
    folder = cache_folder(resolve("criteo"), SETTINGS)
    good = np.load(folder / name)
    stream = io.BytesIO()
    if made == "archive":
        np.savez(stream, good)
    elif made == "pickle":
        np.save(stream, good.astype(object))
    elif made == "big-endian":
        np.save(stream, good.astype(">i4"))
    else:
        shape = "(" + "-" * 9000 + "1,)" if made == "nested" else "(1 << 60, 39)".replace("1 << 60", str(1 << 60))
        header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}}}".encode()
        stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    (folder / name).write_bytes(stream.getvalue())
    digests = {part: sampled_digest(folder / part, "") for part in (ROWS, LABELS)}
    (folder / ABOUT).write_bytes(other_about(digests=digests))
    with pytest.raises(DataError, match=r"damaged \(.*; delete the folder and it is made anew") as caught:
        load_criteo(resolve("criteo"), SETTINGS)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_compressed_text_without_an_end_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed, a few kilobytes hold any number of good lines, and the cache would fill the disk with them."""
    entry = registry._DATASETS["criteo"]
    manifest = replace(entry.manifest, files=(replace(entry.manifest.files[0], size=10_000),))
    monkeypatch.setitem(registry._DATASETS, "criteo", replace(entry, manifest=manifest))
    (root / "criteo" / "train.txt").unlink()
    text = "".join(f"{text}\n" for text in LINES).encode()
    (root / "criteo" / "train.txt.gz").write_bytes(gzip.compress(text))
    with pytest.raises(DataError, match=r"train\.txt\.gz, line 1: has more than 20000 bytes of text; fetch it again"):
        load_criteo(resolve("criteo"), SETTINGS)
    assert cached() == []


def test_a_cache_that_cannot_be_written_is_a_clear_error(root: Path) -> None:
    (root.parent / "cache").mkdir()
    (root.parent / "cache" / "criteo").write_text("a file")
    with pytest.raises(DataError, match=r"cannot write the encoded rows .*set DFA_CACHE_DIR"):
        load_criteo(resolve("criteo"), SETTINGS)


def test_a_file_system_without_locks_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none; two processes would write the same folder, or a run ends in a traceback."""

    def refuse(lock: FileLock) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(sole_writer.FileLock, "acquire", refuse)
    with pytest.raises(DataError, match=r"lies on a file system without locks\); set DFA_CACHE_DIR"):
        load_criteo(resolve("criteo"), SETTINGS)


def test_nothing_written_to_the_rows_reaches_the_cache() -> None:
    """A slip in a model would change the data of every later run."""
    data = load_criteo(resolve("criteo"), SETTINGS)
    data.feature_ids.zero_()
    assert np.array_equal(load_criteo(resolve("criteo"), SETTINGS).feature_ids.numpy(), encode_by_hand(LINES, 2)[0])
