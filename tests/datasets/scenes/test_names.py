"""Names that people give to captures and to images, and that a run or a disk may not take."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import data
from benchmarks.terminal.names import problem_of_name
from datasets.core.errors import DataError
from datasets.registry import find_dataset, resolve
from tests.datasets.scenes.foreign import DESK, FERN, LEGO, loaded, placed
from tests.helpers.scene_samples import SIZE, write_balls

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


FOREIGN = b"caf\xe9.png"  # as a disk from before UTF-8 has it
IMAGES = {DESK: "images", LEGO: "train", FERN: "images_8"}


def rename(path: Path, name: bytes) -> None:
    path.rename(path.with_name(os.fsdecode(name)))


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="such a name cannot be given")
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_whose_name_is_not_utf_8_may_lie_beside_the_others(root: Path, capsys, name: str) -> None:
    """`data status` ended with a traceback, and a run with a line that named no file."""
    folder = placed(root, name)
    before = resolve(name, "real")
    Image.new("RGB", (SIZE, SIZE)).save(folder / "other.png")
    rename(folder / "other.png", FOREIGN)
    after = resolve(name, "real")
    assert after.folder == before.folder and after.fingerprint != before.fingerprint
    assert len(loaded(name).train) > 4
    for command in ("verify", "status"):
        assert data.main([command, name]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="such a name cannot be given")
def test_a_photograph_whose_name_is_not_utf_8_is_read(root: Path) -> None:
    """The table of poses names no file, so any name will do."""
    folder = placed(root, FERN)
    rename(folder / "images_8" / "image008.png", b"image008\xe9.png")
    assert loaded(FERN).test.names[1] == "images_8/image008\udce9.png"


def test_fingerprints_of_scenes_are_those_of_published_records(root: Path) -> None:
    """Worked out by hand: the camera files' digests, then size and path of every image, in the order of names."""
    folder = placed(root, FERN)
    for path in sorted(folder.rglob("*.png")):
        path.write_bytes(b"x" * len(path.name))
    (folder / "poses_bounds.npy").write_bytes(b"poses")
    (folder / "images_8" / "image008.png").rename(folder / "images_8" / "ärger.png")
    lines = [f"{hashlib.sha256(b'poses').hexdigest()}  poses_bounds.npy"]
    images = [*(f"images_4/image00{i}.png" for i in range(9)), *(f"images_8/image00{i}.png" for i in range(8))]
    lines += [*(f"12  {image}" for image in images), "12  images_8/ärger.png"]
    text = "".join(f"{line}\n" for line in lines)
    assert find_dataset(FERN).manifest.fingerprint_in(root) == hashlib.sha256(text.encode()).hexdigest()[:12]
