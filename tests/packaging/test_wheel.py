"""What `pip install .` installs: the engine alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import dfa_core
from tests import REPOSITORY

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "dfa_core", "datasets", "benchmarks")


def python(*arguments: str, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    """Python in a folder, with this PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools writes into the folder that it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-w", str(folder)]
    done = python("-m", "pip", "wheel", *options, str(source), folder=folder)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_engine_alone(wheel: Path) -> None:
    """Without it a package `datasets` could come back, which destroys Hugging Face's where it is installed."""
    names = ZipFile(wheel).namelist()
    info = f"dfa_core-{dfa_core.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"dfa_core", info}
    assert {"dfa_core/py.typed", f"{info}/licenses/LICENSE"} <= set(names)


def test_versions_agree() -> None:
    """Without it the changelog and the citation could name another version than the one that is installed."""
    heading = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    cited = re.search(r"^version: (\S+)", (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert heading and cited and {heading[1], cited[1]} == {dfa_core.__version__}


def test_another_datasets_stays_importable(wheel: Path, tmp_path: Path) -> None:
    """Without it nobody would notice that the wheel writes over a package of that name."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("WHOSE = 'another'\n")
    options = ["--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(tmp_path)]
    done = python("-m", "pip", "install", *options, str(wheel), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    code = "import datasets, dfa_core; print(datasets.WHOSE, dfa_core.__file__)"
    done = python("-c", code, folder=tmp_path.parent, path=str(tmp_path))
    assert done.stdout == f"another {tmp_path / 'dfa_core' / '__init__.py'}\n", done.stderr


def test_the_checkout_is_not_on_the_path_elsewhere(tmp_path: Path) -> None:
    """Without it the editable install would hide Hugging Face's `datasets` in every other folder."""
    code = (
        "from importlib.util import find_spec; from pathlib import Path; found = find_spec('datasets'); "
        f"print(find_spec('benchmarks'), bool(found and Path({str(REPOSITORY)!r}, 'datasets') in "
        "Path(found.origin).parents))"
    )
    assert python("-c", code, folder=tmp_path).stdout == "None False\n"


def test_benchmarks_beside_another_datasets_say_so_in_one_line(tmp_path: Path) -> None:
    """Without it the first import of a name that the other package lacks would end in a traceback."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").touch()
    done = python("-m", "benchmarks.data", "status", folder=tmp_path, path=str(REPOSITORY))
    assert done.returncode != 0 and done.stderr.count("\n") == 1, done.stderr
    assert "the benchmarks run from their checkout" in done.stderr
