"""`python -m benchmarks.data`: what it prints, and its exit status."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import data
from datasets import registry
from datasets.core.errors import DataError
from datasets.core.manifest import Manifest, RemoteFile
from tests import REPOSITORY

FILES = {"ind.cora.x": b"first", "ind.cora.y": b"second"}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a complete `cora` of two small files, and nothing else."""
    files = []
    folder = tmp_path / "cora" / "raw"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(RemoteFile(f"cora/raw/{name}", f"http://127.0.0.1:9/{name}", sha256, len(content)))
    small = Manifest("cora", "cora/raw", "MIT", "here", tuple(files))
    monkeypatch.setitem(registry._DATASETS, "cora", replace(registry._DATASETS["cora"], manifest=small))
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path))
    return tmp_path


def status_line(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_status_tells_what_is_there_and_what_would_be_used(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["status"]) == 0
    text = capsys.readouterr().out
    assert str(root) in text
    assert "2 of 2" in status_line(text, "cora") and status_line(text, "cora").endswith("real")
    assert "0 of 8" in status_line(text, "pubmed") and status_line(text, "pubmed").endswith("stand-in")
    (root / "cora" / "raw" / "ind.cora.x").unlink()
    data.main(["status", "cora"])
    text = capsys.readouterr().out
    assert "1 of 2" in text and "incomplete" in text and "pubmed" not in text


def test_verify_passes_good_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["verify"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "cora: 2 of 2 files agree with their checksums\n" and captured.err == ""


def test_verify_names_each_bad_file_in_a_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "cora" / "raw" / "ind.cora.x").write_bytes(b"fIrst")
    (root / "cora" / "raw" / "ind.cora.y").unlink()
    assert data.main(["verify"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "ind.cora.x has sha256" in lines[0] and "ind.cora.y is missing" in lines[1]
    assert all(line.endswith("python -m benchmarks.data fetch cora") for line in lines)


def test_verify_of_an_absent_dataset_fails_only_if_it_was_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["verify", "cora", "pubmed"]) == 2
    folder = root / "planetoid" / "PubMed" / "raw"
    fix_hint = "python -m benchmarks.data fetch pubmed"
    assert capsys.readouterr().err == f"pubmed: no files in {folder}; fetch them: {fix_hint}\n"


def test_fetch_keeps_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["fetch", "cora"]) == 0
    assert capsys.readouterr().out.count("already there") == 2


def test_fetch_failure_is_one_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise DataError("http://somewhere: download failed")

    monkeypatch.setattr(data, "fetch", fail)
    assert data.main(["fetch", "cora"]) == 2
    assert capsys.readouterr().err == "http://somewhere: download failed\n"


def test_unknown_dataset_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["verify", "cora", "sitesear"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "unknown dataset 'sitesear'; did you mean citeseer?\n" and captured.out == ""


def test_the_command_has_no_traceback_and_status_2(root: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.data", "status", "cord"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "unknown dataset 'cord'; did you mean cora?\n"
