"""Which data a run gets, and how stand-ins come to be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from datasets.core.errors import DataError
from datasets.core.roots import cache_root, data_root
from datasets.core.source import Source, prepare
from datasets.core.standin import StandIn
from datasets.planetoid.manifest import MANIFESTS
from datasets.planetoid.standin import STANDINS, write_citation
from datasets.registry import find_dataset, known_datasets, resolve
from tests import REPOSITORY


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root and an empty cache."""
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path / "root"))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def put_files(name: str, leave_out: int = 0) -> None:
    """Empty files under the names of the real ones."""
    for file in MANIFESTS[name].files[leave_out:]:
        place = file.place(data_root())
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def test_auto_takes_real_data_if_they_are_there() -> None:
    put_files("cora")
    source = resolve("cora", "auto")
    assert source.kind == "real"
    assert source.folder == data_root() / "planetoid" / "Cora" / "raw"
    assert source == resolve("cora", "real")
    assert source.fingerprint == MANIFESTS["cora"].fingerprint


def test_auto_takes_the_stand_in_if_there_are_none_and_writes_nothing(folders: Path) -> None:
    source = resolve("cora")
    assert source.kind == "stand-in" and source == resolve("cora", "standin")
    assert source.folder == cache_root() / "standin" / f"cora-{source.fingerprint}"
    assert list(folders.iterdir()) == []


def test_a_stand_in_can_be_asked_for_beside_real_data() -> None:
    put_files("cora")
    assert resolve("cora", "standin").kind == "stand-in"


def test_real_without_files_names_the_command_that_fetches_them() -> None:
    with pytest.raises(DataError, match=r"python -m benchmarks\.data fetch citeseer"):
        resolve("citeseer", "real")


@pytest.mark.parametrize("data", ["auto", "real"])
def test_incomplete_real_data_are_an_error_that_names_what_is_missing(data: str) -> None:
    put_files("pubmed", leave_out=2)
    with pytest.raises(DataError, match=r"missing \S+/ind\.pubmed\.x, \S+/ind\.pubmed\.tx; .*fetch pubmed"):
        resolve("pubmed", data)


def test_unknown_words_are_errors_that_name_the_valid_ones() -> None:
    with pytest.raises(DataError, match="'Coar'; did you mean cora"):
        resolve("Coar")
    with pytest.raises(DataError, match="valid are auto, real, standin"):
        resolve("cora", "reel")


def test_fingerprints_tell_datasets_and_sizes_apart() -> None:
    sources = [resolve(name, "standin", profile) for name in known_datasets() for profile in ("smoke", "quick")]
    assert len({source.fingerprint for source in sources}) == len(sources)
    assert resolve("cora", "standin", "quick") == resolve("cora", "standin", "paper")


def test_folders_default_to_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DFA_DATA_DIR")
    monkeypatch.delenv("DFA_CACHE_DIR")
    monkeypatch.chdir(tmp_path)
    assert (data_root(), cache_root()) == (tmp_path / "data", tmp_path / "data" / "cache")


@pytest.mark.parametrize("name", ["cora", "citeseer", "pubmed"])
def test_the_same_settings_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    contents = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        write_citation(folder, STANDINS[name].settings["smoke"])
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == sorted(STANDINS[name].files)


def test_a_prepared_stand_in_is_kept() -> None:
    source = resolve("cora", "standin", "smoke")
    prepare(source)
    stamp = (source.folder / "ind.cora.x").stat().st_mtime_ns
    prepare(source)
    assert (source.folder / "ind.cora.x").stat().st_mtime_ns == stamp


def test_two_processes_prepare_the_same_stand_in(folders: Path) -> None:
    go = folders / "go"
    program = (
        "import pathlib, time\n"
        "from datasets.core.source import prepare; from datasets.registry import resolve\n"
        "source = resolve('pubmed', 'standin')\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.001)\n"
        "prepare(source)\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY) for _ in range(2)]
    go.touch()
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    source = resolve("pubmed", "standin")
    assert [path.name for path in source.folder.parent.iterdir()] == [source.folder.name]
    prepare(source)


@pytest.mark.parametrize("name", ["ind.cora.x", "ind.cora.test.index"])
def test_an_altered_stand_in_is_named(name: str) -> None:
    """What was learned from it would be recorded as a result on the stand-in that everybody has."""
    source = resolve("cora", "standin", "smoke")
    prepare(source)
    content = bytearray((source.folder / name).read_bytes())
    content[-2] ^= 1
    (source.folder / name).write_bytes(content)
    with pytest.raises(
        DataError, match=rf"{re.escape(name)} is altered; delete the folder \S+ and it is generated anew$"
    ):
        prepare(source)


@pytest.mark.parametrize(
    "line", ["0  ../../secret", "0  /etc/hostname", "0", "0  ", "\xff", "0  ind.cora.none", "0  ."]
)
def test_altered_checksums_are_named(line: str, folders: Path) -> None:
    """They name files; none outside of the folder is looked at."""
    source = resolve("cora", "standin", "smoke")
    prepare(source)
    (source.folder / "SHA256SUMS").write_bytes(f"{line}\n".encode("latin1"))
    with pytest.raises(
        DataError, match=r"(is altered|is missing|is a folder, not a file); delete the folder"
    ) as caught:
        prepare(source)
    assert str(caught.value).startswith(str(source.folder))


@pytest.mark.parametrize("name", ["cora", "nerf_synthetic/lego"])
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_every_file_of_a_stand_in_needs_a_checksum(name: str, kept: int) -> None:
    """An empty list, or one that a full disk had cut, switched the check off: altered labels were accepted."""
    source = resolve(name, "standin", "smoke")
    prepare(source)
    (source.folder / ".DS_Store").touch()  # of a file browser
    prepare(source)
    sums = source.folder / "SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(lines[:kept]))
    with pytest.raises(DataError, match=r"SHA256SUMS has no line for \S+; delete the folder \S+ and it is generated"):
        prepare(source)


def test_a_pipe_in_a_stand_in_is_named() -> None:
    source = resolve("cora", "standin", "smoke")
    prepare(source)
    (source.folder / "ind.cora.x").unlink()
    os.mkfifo(source.folder / "ind.cora.x")
    with pytest.raises(DataError, match=r"ind\.cora\.x is no regular file; delete the folder"):
        prepare(source)


@dataclass(frozen=True)
class NoSettings:
    """A generator without choices."""


def toy_standin(write) -> StandIn:
    return StandIn("toy", 1, ("a",), {"default": NoSettings()}, write)


def test_the_first_to_finish_wins(tmp_path: Path) -> None:
    final = tmp_path / "toy"

    def write_while_another_finishes(folder: Path, settings: NoSettings) -> None:
        (folder / "a").write_text("late")
        final.mkdir()
        (final / "a").write_text("first")

    standin = toy_standin(write_while_another_finishes)
    standin.generate(final, standin.fingerprint("quick"))
    assert (final / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_a_failed_generation_leaves_nothing_behind(tmp_path: Path) -> None:
    def write_half(folder: Path, settings: NoSettings) -> None:
        (folder / "a").write_text("half")
        raise OSError("No space left on device")

    standin = toy_standin(write_half)
    with pytest.raises(DataError, match=r"No space left.*set DFA_CACHE_DIR"):
        standin.generate(tmp_path / "toy", standin.fingerprint("quick"))
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_is_no_folder_is_a_clear_error(folders: Path) -> None:
    (folders / "cache").write_text("a file")
    with pytest.raises(DataError, match="set DFA_CACHE_DIR"):
        prepare(resolve("cora", "standin", "smoke"))


def test_a_fingerprint_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no stand-in of cora has the fingerprint 'old'"):
        prepare(Source("stand-in", find_dataset("cora"), tmp_path / "cora-old", "old"))
