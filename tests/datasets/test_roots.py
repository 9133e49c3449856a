"""The data root and the cache: every way to name a folder that is none is one line that says which variable to set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.core import roots
from datasets.core.errors import AbsentError, DataError
from datasets.core.roots import cache_root, data_root
from datasets.planetoid.manifest import MANIFESTS
from datasets.registry import resolve
from datasets.wikitext.manifest import MANIFESTS as WIKITEXT
from tests import REPOSITORY

ROOTS = {"DFA_DATA_DIR": data_root, "DFA_CACHE_DIR": cache_root}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder; the data root is in it, and does not exist yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFA_DATA_DIR", "root")
    monkeypatch.setenv("DFA_CACHE_DIR", "cache")
    (tmp_path / "file").touch()
    for name, target in {"circle": "circle", "one": "two", "two": "one", "nowhere": "unmounted/data"}.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize("variable", ROOTS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("~nosuchuser/x", "names a home folder, ~nosuchuser, that there is none of"),
        ("circle", r"cannot be looked at \(Too many levels of symbolic links\)"),
        ("one/data", r"cannot be looked at \(Too many levels of symbolic links\)"),
        ("nowhere", "leads through the link nowhere, which points to nothing"),
        ("nowhere/deeper/still", "leads through the link nowhere, which points to nothing"),
        ("file", "is a file, not a folder"),
        ("file/data", r"cannot be looked at \(Not a directory\)"),
        ("x" * 300, r"cannot be looked at \(File name too long\)"),
        ("x/" * 3000, r"cannot be looked at \(File name too long\)"),
        ("new/../" + "x" * 300, r"cannot be looked at \(File name too long\)"),
        ("new/../circle", r"cannot be looked at \(Too many levels of symbolic links\)"),
        ("caf\udce9", "has bytes that are not UTF-8"),
        ("/dev/null", "is a file, not a folder"),
    ],
)
def test_a_path_that_is_no_folder_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    """Without it such a path is a traceback, or the run takes a stand-in where real data were meant."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(DataError, match=rf"^{variable}=.*{message}; set {variable} to a folder, which") as caught:
        ROOTS[variable]()
    text = str(caught.value)
    assert text.isprintable() and len(text) < 400


@pytest.mark.parametrize("variable", ROOTS)
def test_a_folder_that_may_not_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, folder: Path
) -> None:
    (folder / "closed").mkdir()
    monkeypatch.setenv(variable, "closed")
    monkeypatch.setattr(roots.os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match=rf"{variable}=closed is a folder that you may not read; set {variable}"):
        ROOTS[variable]()


def test_good_paths_are_resolved(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A relative path that is resolved late means another folder once the program has changed its own."""
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    monkeypatch.setenv("HOME", str(folder))
    for value, expected in {
        "~": folder,
        "~/data": folder / "data",
        "new/folder": folder / "new" / "folder",
        "real/../new": folder / "new",
        "link": folder / "real",
        "": folder / "data",
    }.items():
        monkeypatch.setenv("DFA_DATA_DIR", value)
        assert data_root() == expected


def test_the_default_is_named_as_such(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("DFA_DATA_DIR")
    (folder / "data").touch()
    with pytest.raises(
        DataError, match=r"^DFA_DATA_DIR is not set, and data is a file, not a folder; set DFA_DATA_DIR"
    ):
        data_root()


def test_a_current_folder_that_is_gone_is_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    with pytest.raises(DataError, match=r"DFA_DATA_DIR=root cannot be looked at \(No such file or directory\)"):
        data_root()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


OBSTACLES: dict[str, tuple[Callable[[Path], None], str]] = {
    "link to nothing": (lambda path: path.symlink_to("unmounted"), "the link .* points to nothing"),
    "loop of links": (loop, "Too many levels of symbolic links"),
    "folder": (Path.mkdir, "is a folder, not a file"),
    "pipe": (os.mkfifo, "is no regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is no regular file"),
}


@pytest.mark.parametrize(("put", "message"), OBSTACLES.values(), ids=OBSTACLES)
@pytest.mark.parametrize("data", ["auto", "real"])
def test_what_stands_in_a_files_place_never_turns_into_a_stand_in(
    folder: Path, put: Callable[[Path], None], message: str, data: str
) -> None:
    """A disk that is not mounted leaves links to nothing: the run would be recorded, with a stand-in's numbers."""
    first = MANIFESTS["cora"].files[0].place(data_root())
    first.parent.mkdir(parents=True)
    put(first)
    with pytest.raises(DataError, match=rf"ind\.cora\.x .*{message}.*; put that right, or fetch it again: ") as caught:
        resolve("cora", data)
    assert not isinstance(caught.value, AbsentError)


def test_a_folder_that_is_a_link_to_nothing_is_named(folder: Path) -> None:
    (folder / "root").mkdir()
    (folder / "root" / "planetoid").symlink_to("unmounted")
    with pytest.raises(DataError, match=r"the link \S+root/planetoid points to nothing; put that right"):
        resolve("cora")


def test_an_archive_that_is_a_link_to_nothing_is_named(folder: Path) -> None:
    (folder / "root").mkdir()
    WIKITEXT["wikitext2"].archive.place(data_root()).symlink_to("unmounted")
    with pytest.raises(DataError, match=r"the link \S+wikitext-2-v1\.zip points to nothing; put that right"):
        resolve("wikitext2")


@pytest.mark.parametrize("value", ["~nosuchuser/x", "circle"])
@pytest.mark.parametrize("arguments", [["benchmarks.data", "status"], ["benchmarks.run"]])
def test_commands_end_with_the_line_and_status_2(folder: Path, value: str, arguments: list[str]) -> None:
    environment = os.environ | {"DFA_DATA_DIR": value, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "set DFA_DATA_DIR to a folder" in done.stderr


def test_what_cannot_be_printed_is_escaped() -> None:
    """A file's name may hold a newline, or bytes that no terminal takes: the message would be two lines, or none."""
    error = DataError("raw/a\nb\x1b[2J\udcff\u2028: bad — é ✓")
    assert str(error) == r"raw/a\nb\x1b[2J\udcff\u2028: bad — é ✓"
