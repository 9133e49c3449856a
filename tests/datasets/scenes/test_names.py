"""Names that people give to captures and to images, and that a run or a disk may not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import data
from benchmarks.terminal.names import problem_of_name
from datasets.core.errors import DataError
from datasets.registry import find_dataset, resolve
from tests.helpers.scene_samples import write_balls

NAMES = ("desk", "d", "2", "_x", "a.b", "a-b", "a+b", "Desk_2.0", "x" * 50, "communal", "lpt")
NO_NAMES = (
    "",
    "..",
    "a/b",
    "a\\b",
    "a b",
    "küche",
    "\u212a",
    "-a",
    ".a",
    "a.",
    "x" * 51,
    "con",
    "NUL.x",
    "Com3",
    "a\n",
)


@pytest.mark.parametrize("title", [*NAMES, *NO_NAMES])
def test_a_capture_s_name_is_one_folder_that_a_run_takes(root: Path, capsys, title: str) -> None:
    """A folder `a b` was verified, exit status 0, and then refused by the run: a run's name is that of its files."""
    name = f"capture/{title}"
    assert (problem_of_name("dataset", name) is None) == (title in NAMES)  # the rule of a run
    if title in NAMES:
        assert find_dataset(name).name == name
        return
    write_balls(root / "captures" / title.strip("./"), "capture")
    with pytest.raises(DataError, match=r"a folder's plain name of letters, digits and _; rename the folder$"):
        resolve(name)
    for command in ("verify", "status"):
        assert data.main([command, name]) == 2
        said = capsys.readouterr()
        assert said.out == "" and "rename the folder" in said.err and said.err.count("\n") == 1
