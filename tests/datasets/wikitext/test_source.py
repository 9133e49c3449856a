"""WikiText's sources: files, archives, and what is said of bad ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from benchmarks import data as data_command
from datasets import registry
from datasets.core.errors import DataError
from datasets.core.manifest import check_file
from datasets.registry import resolve
from datasets.wikitext import encode as wikitext_encode
from datasets.wikitext.load import SPLITS, Tokenization, load_wikitext
from datasets.wikitext.manifest import MANIFESTS
from datasets.wikitext.text import read_words, split_words
from tests.datasets.wikitext.loading import SETTINGS, TRAIN, cached, load
from tests.helpers.wikitext_samples import (
    HEADING,
    encode_by_hand,
    split_by_hand,
    write_archive,
    write_splits,
)

pytestmark = pytest.mark.usefixtures("root")
REAL = os.environ.get("DFA_DATA_DIR", "")
ARCHIVE = "wikitext-103-v1.zip"


def pack(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the files into an archive in the data root, which is the published one."""
    folder = root / "wikitext-103"
    write_archive(root / ARCHIVE, "wikitext-103", {path.name: path.read_bytes() for path in folder.iterdir()})
    content = (root / ARCHIVE).read_bytes()
    entry = registry._DATASETS["wikitext103"]
    archive = replace(entry.manifest.archive, sha256=sha256(content).hexdigest(), size=len(content))
    manifest = replace(entry.manifest, archive=archive)
    monkeypatch.setitem(registry._DATASETS, "wikitext103", replace(entry, manifest=manifest))


def test_ids_and_counts_are_those_made_by_hand() -> None:
    """A split in another's place, a block in another's order: training would hardly show it."""
    data = load()
    texts = {"train": TRAIN, "valid": " the talks . \n", "test": " walked \n"}
    for split, text in texts.items():
        words = split_by_hand(text, lowercase=True)
        ids = encode_by_hand(words, data.tokenizer.to_json(), data.tokenizer.special)
        assert getattr(data, split).tolist() == ids and data.decode(getattr(data, split)) == text.lower()
        assert (data.words[split], data.tokens[split]) == (len(words), len(ids))
    assert (data.vocabulary, data.floor, data.floors, data.train.dtype) == (290, None, None, torch.uint16)
    assert data.train[:6].view(2, 3).long().max() < 290  # what a task does with them


def test_blocks_and_a_full_memory_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A real split has a hundred blocks, the texts of these tests have one."""
    expected = load().train
    monkeypatch.setattr(wikitext_encode, "_REMEMBERED", 3)
    monkeypatch.setattr(wikitext_encode, "read_words", lambda *text: read_words(*text, size=500))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "other"))
    assert load().train.equal(expected)


def test_dropped_ends_of_lines_are_neither_tokens_nor_words() -> None:
    """Counted as words, they would make a perplexity per word look better than it is."""
    data = load(replace(SETTINGS, end_of_line="drop"))
    assert data.words == {"train": len(TRAIN.split()), "valid": 3, "test": 1}
    assert data.decode(data.valid) == " the talks ." and data.vocabulary == 290


def test_a_vocabulary_beyond_16_bits_has_32() -> None:
    """Ids above 65,535 would silently wrap. A text that supports so many is too long for a test."""
    assert [wikitext_encode._dtype(size).itemsize for size in (1 << 16, (1 << 16) + 1)] == [2, 4]


def test_an_archive_in_the_data_root_will_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load()
    pack(root, monkeypatch)
    unpacked = resolve("wikitext103")
    shutil.rmtree(root / "wikitext-103")
    source = resolve("wikitext103", "real")
    assert (unpacked.folder, source.folder) == (root / "wikitext-103", root / ARCHIVE)
    assert source.fingerprint != unpacked.fingerprint
    data = load_wikitext(source, SETTINGS)
    assert data.train.equal(expected.train) and data.words == expected.words
    assert sorted(path.name for path in root.iterdir()) == [ARCHIVE]


def test_an_archive_that_is_not_the_published_one_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(root, monkeypatch)
    shutil.rmtree(root / "wikitext-103")
    path = root / ARCHIVE
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(
        DataError, match=r"103-v1\.zip has sha256 .* is expected; fetch it again: python -m benchmarks.data fetch"
    ):
        load()
    assert cached() == []


def test_what_to_verify_or_fetch_is_what_is_whole_else_the_archive(root: Path) -> None:
    manifest = MANIFESTS["wikitext103"]
    assert manifest.files_in(root) == manifest.files
    (root / ARCHIVE).touch()
    assert manifest.files_in(root) == manifest.files and manifest.place(root) == root / "wikitext-103"
    (root / "wikitext-103" / "wiki.test.tokens").unlink()
    assert manifest.files_in(root) == (manifest.archive,) and manifest.place(root) == root / ARCHIVE
    shutil.rmtree(root / "wikitext-103")
    assert manifest.files_in(root) == (manifest.archive,) and manifest.missing(root) == []
    (root / ARCHIVE).unlink()
    assert manifest.files_in(root) == (manifest.archive,) and manifest.absent(root)


@pytest.fixture
def publisher(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archive as published, at an address on this machine; not in the data root."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pack(root, monkeypatch)
    shop = root.parent / "shop"
    shop.mkdir()
    (root / ARCHIVE).rename(shop / ARCHIVE)
    handler = partial(SimpleHTTPRequestHandler, directory=str(shop))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        entry = registry._DATASETS["wikitext103"]
        archive = replace(entry.manifest.archive, url=f"http://127.0.0.1:{server.server_port}/{ARCHIVE}")
        manifest = replace(entry.manifest, archive=archive)
        monkeypatch.setitem(registry._DATASETS, "wikitext103", replace(entry, manifest=manifest))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield shop / ARCHIVE
        server.shutdown()
        thread.join()


def follow(message: str) -> None:
    """Do what the end of a message says."""
    fix_hint = message.rpartition("; ")[2]
    removed, command = re.fullmatch(
        r"(?:remove (\S+) and )?[a-z ]+: python -m benchmarks\.data (.*)", fix_hint
    ).groups()
    if removed:
        folder = Path(removed)
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    assert data_command.main(command.split()) == 0


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("content", [None, b" \n\n", b" a \n" * 40_000 + b"\xff\n"])
@pytest.mark.parametrize("beside", [False, True], ids=["folder alone", "archive beside it"])
def test_advice_about_bad_files_works_when_it_is_followed(
    root: Path, publisher: Path, capsys, split: str, content: bytes | None, beside: bool
) -> None:
    """It led in a circle: fetching found the file good, or without an address, and the next run said to fetch it."""
    expected = load().train
    shutil.rmtree(root.parent / "cache")
    path = root / "wikitext-103" / f"wiki.{split}.tokens"
    path.unlink() if content is None else path.write_bytes(content)
    if beside:
        shutil.copy(publisher, root / ARCHIVE)
    if beside and content is None:  # what is whole is taken
        assert load().train.equal(expected) and data_command.main(["verify", "wikitext103"]) == 0
        return
    assert data_command.main(["verify", "wikitext103"]) == 2
    (verified,) = capsys.readouterr().err.splitlines()
    with pytest.raises(DataError) as refused:
        load()
    assert verified.rpartition("; ")[2] == str(refused.value).rpartition("; ")[2]
    follow(str(refused.value))
    assert load().train.equal(expected) and data_command.main(["verify", "wikitext103"]) == 0


def test_advice_about_a_bad_archive_works_when_it_is_followed(root: Path, publisher: Path) -> None:
    shutil.rmtree(root / "wikitext-103")
    (root / ARCHIVE).write_bytes(b"PK")
    with pytest.raises(DataError, match=r"103-v1\.zip has 2 bytes") as refused:
        load()
    follow(str(refused.value))
    assert load().words["test"] == 2


@pytest.mark.parametrize("split", SPLITS)
def test_bad_splits_are_one_clear_line_and_leave_nothing(root: Path, split: str) -> None:
    path = root / "wikitext-103" / f"wiki.{split}.tokens"
    late = HEADING.encode() * 3000 + b" a \n\xff"
    for content, message in ((b" \n\n", "has no words"), (late, "line 9002: byte 0xff is not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(
            DataError,
            match=rf"wiki\.{split}\.tokens.* {message}; remove {root}/\S+ and fetch it again: python",
        ) as caught:
            load()
        assert "\n" not in str(caught.value)
    assert cached() == []
    path.unlink()
    with pytest.raises(DataError, match=rf"incomplete .* missing wikitext-103/wiki\.{split}\.tokens; complete it"):
        load()


def test_a_vocabulary_too_large_names_the_file_and_the_largest() -> None:
    with pytest.raises(DataError, match=r"wiki\.train\.tokens: vocabulary=9000 is more .* fewer"):
        load(Tokenization(9000))
    assert cached() == []


def test_without_files_there_is_a_stand_in_with_a_floor(root: Path) -> None:
    """The floor counts words as the loader does; counted otherwise, it would stand beside other perplexities."""
    shutil.rmtree(root)
    source = resolve("wikitext103", "auto", "smoke")
    data = load_wikitext(source, Tokenization(1000))
    assert source.kind == "stand-in" and set(data.floors) == set(SPLITS) and data.floor == data.floors["valid"]
    floor = json.loads((source.folder / "floor.json").read_text())
    assert data.words == {split: floor[split]["words"] for split in SPLITS}
    assert load_wikitext(source, Tokenization(1000, end_of_line="drop")).floor is None
    with pytest.raises(
        DataError, match=r"wikitext103: no files in .*; fetch them: python -m benchmarks.data fetch wikitext103"
    ):
        resolve("wikitext103", "real")


def test_altered_wikitext_2_is_refused(root: Path) -> None:
    """An altered file would pass for the published one in every record."""
    write_splits(root / "wikitext-2", TRAIN)
    with pytest.raises(DataError, match=r"wiki\.train\.tokens has \d+ bytes where 10797148 are expected"):
        load_wikitext(resolve("wikitext2", "real"), SETTINGS)


def test_the_published_wikitext_2_has_the_published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """2,088,628, 217,646 and 245,569 tokens (Merity et al., table 1), of which a model's words must be as many."""
    folder = Path(REAL) / "wikitext-2"
    if not REAL or not folder.is_dir():
        pytest.skip("DFA_DATA_DIR is not set or has no wikitext-2")
    monkeypatch.setenv("DFA_DATA_DIR", REAL)
    for file in MANIFESTS["wikitext2"].files:
        check_file(file.place(Path(REAL)), file, "")
    counts = [len(split_words((folder / f"wiki.{split}.tokens").read_text(), True)) for split in SPLITS]
    assert counts == [2_088_628, 217_646, 245_569]
