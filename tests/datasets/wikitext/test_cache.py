"""The cache of ids: made once, by one process, never half, and never trusted when damaged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from datasets.core.errors import DataError
from datasets.registry import resolve
from datasets.wikitext import cache as wikitext_cache
from datasets.wikitext import encode as encode_module
from datasets.wikitext.cache import cache_folder
from tests.datasets.wikitext.loading import SETTINGS, TRAIN, cached, in_a_process, load
from tests.helpers.wikitext_samples import (
    write_splits,
)

pytestmark = pytest.mark.usefixtures("root")


def test_text_is_encoded_once_per_content_and_settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every run of a sweep would encode anew, or take the ids of other settings."""
    done = []
    encode = encode_module.encode
    monkeypatch.setattr(wikitext_cache, "encode", lambda *args: done.append(args[2]) or encode(*args))
    changes = [{}, {"vocabulary": 280}, {"lowercase": False}, {"end_of_line": "drop"}, {"unknown": "text"}]
    chosen = [replace(SETTINGS, **change) for change in changes]
    lengths = [len(load(settings).train) for settings in [*chosen, *chosen]]
    assert done == chosen and lengths[:5] == lengths[5:]
    write_splits(root / "wikitext-103", TRAIN, test=" other words \n")
    assert load().words["test"] == 3 and len(done) == 6


@pytest.mark.parametrize("name", ["about.json", "tokenizer.json", "train.ids", "valid.ids"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_cache_is_made_anew(name: str, damage: str) -> None:
    """A single id that flipped on the disk would be learned; nobody would know."""
    expected = load()
    path = cache_folder(resolve("wikitext103"), SETTINGS) / name
    content = path.read_bytes()
    changed = content.replace(b'"valid": 4', b'"valid": 5') if name == "about.json" else content[:-2] + b"\x01\x01"
    assert changed != content
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-2] if damage == "cut" else changed)
    again = load()
    assert again.train.equal(expected.train) and again.words == expected.words
    assert path.read_bytes() == content and len(cached()) == 1


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"{}", b"[]", b"null", b"1" * 5000, b'{"content": 1, "sha256": 2}', b"\xff", b""]
)
def test_a_cache_that_describes_itself_wrongly_is_made_anew(content: bytes) -> None:
    """JSON that is nested too deep, or has other types, is damage like any other and no traceback."""
    expected = load()
    path = cache_folder(resolve("wikitext103"), SETTINGS) / "about.json"
    good = path.read_bytes()
    path.write_bytes(content)
    assert load().train.equal(expected.train) and path.read_bytes() == good


@pytest.mark.parametrize(
    "put", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path.name)], ids=["pipe", "folder", "loop"]
)
@pytest.mark.parametrize("name", ["about.json", "tokenizer.json", "valid.ids"])
def test_what_is_no_file_in_the_cache_is_made_anew(put: Callable[[Path], None], name: str) -> None:
    """A pipe that nobody writes to would be read for hours."""
    expected = load()
    path = cache_folder(resolve("wikitext103"), SETTINGS) / name
    path.unlink()
    put(path)
    assert load().train.equal(expected.train)


def test_a_folder_of_other_settings_is_not_trusted() -> None:
    load(replace(SETTINGS, lowercase=False))
    other = cache_folder(resolve("wikitext103"), replace(SETTINGS, lowercase=False))
    shutil.copytree(other, cache_folder(resolve("wikitext103"), SETTINGS))
    assert load().decode(load().train) == TRAIN.lower()


def test_nothing_written_to_the_ids_reaches_the_cache() -> None:
    """A slip in a task would change the data of the runs beside it, and have the cache made anew for the next."""
    data = load()
    path = cache_folder(resolve("wikitext103"), SETTINGS) / "train.ids"
    content = path.read_bytes()
    data.train.zero_()
    assert path.read_bytes() == content


@pytest.mark.parametrize("moment", ["_encode_split", "_about"])
def test_a_killed_process_leaves_no_cache_and_the_next_cleans_up(moment: str) -> None:
    target = "wikitext_encode._digest_of" if moment == "_about" else f"wikitext_encode.{moment}"
    kill = f"import os\n{target} = lambda *args: os.kill(os.getpid(), 9)"
    assert in_a_process(kill).wait(timeout=120) == -signal.SIGKILL
    assert [name[0] for name in cached()] == ["."]
    load()
    assert cached() == [cache_folder(resolve("wikitext103"), SETTINGS).name]


def test_of_two_processes_one_encodes_and_the_other_waits(root: Path) -> None:
    """Two processes of a sweep start at once; neither may see the other's half, nor do the work again."""
    # The one that encodes waits until both have seen that there is no cache and want the lock.
    hook = (
        f"import os, pathlib, time\nwanted = pathlib.Path({str(root.parent / 'wanted')!r})\n"
        "wanted.mkdir(exist_ok=True)\n"
        "lock, encode = sole_writer.FileLock, wikitext_cache.encode\n"
        "def noted(path):\n    (wanted / str(os.getpid())).touch()\n    return lock(path)\n"
        "def patient(*args):\n    print('encodes', flush=True)\n"
        "    while len(list(wanted.iterdir())) < 2: time.sleep(0.01)\n    encode(*args)\n"
        "sole_writer.FileLock, wikitext_cache.encode = noted, patient"
    )
    workers = [in_a_process(hook, stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(outputs) == ["", "encodes\n"] and len(cached()) == 1


def test_a_cache_that_cannot_be_written_is_a_clear_error(root: Path) -> None:
    (root.parent / "cache").mkdir()
    (root.parent / "cache" / "wikitext").write_text("a file")
    with pytest.raises(DataError, match=r"cannot keep the encoded text in .*set DFA_CACHE_DIR"):
        load()
