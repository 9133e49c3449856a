"""Real data that are there and broken: wherever they are looked for, they never turn into a stand-in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import data as data_command
from datasets.core.errors import AbsentError, DataError
from datasets.images.manifest import BATCHES, IDX_FILES
from datasets.registry import resolve
from tests.datasets.permissions import forbid
from tests.helpers.scene_samples import write_balls

Put = Callable[[Path], object]

PLAIN = [name.removesuffix(".gz") for name in IDX_FILES]
TRANSFORMS = [f"transforms_{split}.json" for split in ("train", "val", "test")]
POINTS_TO_NOTHING = "points to nothing"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, and an empty cache elsewhere."""
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path / "root"))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def each(names: tuple[str, ...], make: Callable[[Path], object]) -> Put:
    """Something at each of these places, in folders that are made where they are not."""

    def put(root: Path) -> None:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            make(root / name)

    return put


def link(*names: str) -> Put:
    """Links to a disk that is not mounted."""
    return each(names, lambda path: path.symlink_to(f"/mnt/unmounted/{path.name}"))


def folder(name: str) -> Put:
    return lambda root: (root / name).mkdir(parents=True)


def files(*names: str) -> Put:
    return each(names, lambda path: path.write_bytes(b"something"))


def without(place: str, kind: str, *names: str) -> Put:
    """A scene without its camera files."""

    def put(root: Path) -> None:
        write_balls(root / place, kind)
        for name in names:
            (root / place / name).unlink()

    return put


def refused(name: str, data: str = "auto") -> str:
    """The one line with which a run ends; `data verify` has it as well, and `data status` a row."""
    with pytest.raises(DataError) as caught:
        resolve(name, data)
    assert not isinstance(caught.value, AbsentError)
    return str(caught.value)


LEGO, FERN = "nerf_synthetic/lego", "llff_real/fern"

BROKEN: dict[str, tuple[str, Put, str, str]] = {
    "folder of torchvision": ("mnist", link("MNIST"), "MNIST", POINTS_TO_NOTHING),
    "files of torchvision": (
        "mnist",
        link(*(f"MNIST/raw/{name}" for name in IDX_FILES)),
        f"MNIST/raw/{IDX_FILES[0]}",
        POINTS_TO_NOTHING,
    ),
    "unpacked files": (
        "mnist",
        link(*(f"mnist/raw/{name}" for name in PLAIN)),
        f"mnist/raw/{PLAIN[0]}",
        POINTS_TO_NOTHING,
    ),
    "unpacked files of torchvision": (
        "mnist",
        link(*(f"MNIST/raw/{name}" for name in PLAIN)),
        f"MNIST/raw/{PLAIN[0]}",
        POINTS_TO_NOTHING,
    ),
    "unpacked files that have no checksum": (
        "fashion_mnist",
        files(*(f"fashion_mnist/raw/{name}" for name in PLAIN)),
        f"fashion_mnist/raw/{PLAIN[0]}",
        f"is unpacked, and the published checksum is that of {IDX_FILES[0]}",
    ),
    "links to such files": (
        "fashion_mnist",
        link(*(f"FashionMNIST/raw/{name}" for name in PLAIN)),
        f"FashionMNIST/raw/{PLAIN[0]}",
        POINTS_TO_NOTHING,
    ),
    "pickles": ("cifar10", link("cifar-10-batches-py"), "cifar-10-batches-py", POINTS_TO_NOTHING),
    "pickled files": (
        "cifar10",
        link(*(f"cifar10/cifar-10-batches-py/{name}" for name in BATCHES)),
        f"cifar10/cifar-10-batches-py/{BATCHES[0]}",
        POINTS_TO_NOTHING,
    ),
    "packed text": ("criteo", link("criteo/train.txt.gz"), "criteo/train.txt.gz", POINTS_TO_NOTHING),
    "folder called as packed text": ("criteo", folder("criteo/train.txt.gz"), "criteo/train.txt.gz", "is a folder"),
    "unpacked text": ("criteo_137k", link("criteo_137k/train.txt"), "criteo_137k/train.txt", POINTS_TO_NOTHING),
    "smaller scene": (LEGO, link("nerf_synthetic/lego_400"), "nerf_synthetic/lego_400", POINTS_TO_NOTHING),
    "cameras of a smaller scene": (
        LEGO,
        link(*(f"nerf_synthetic/lego_400/{name}" for name in TRANSFORMS)),
        "nerf_synthetic/lego_400/transforms_train.json",
        POINTS_TO_NOTHING,
    ),
    "file called as a smaller scene": (LEGO, files("nerf_synthetic/lego_400"), "nerf_synthetic/lego_400", "Not a dir"),
    "photographs without cameras": (
        FERN,
        without("nerf_llff_data/fern", "llff", "poses_bounds.npy"),
        "nerf_llff_data/fern",
        "has images, and no poses_bounds.npy",
    ),
    "renderings without cameras": (
        LEGO,
        files("nerf_synthetic/lego/train/r_0.png"),
        "nerf_synthetic/lego",
        "has images, and no transforms_train.json",
    ),
    "smaller renderings without cameras": (
        LEGO,
        without("nerf_synthetic/lego_400", "blender", *TRANSFORMS),
        "nerf_synthetic/lego_400",
        "has images, and no transforms_train.json",
    ),
}


@pytest.mark.parametrize(("name", "put", "place", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], name: str, put: Put, place: str, message: str
) -> None:
    """Obstacles were looked for at the first place of each file only: a run on an unmounted disk had generated data."""
    put(root)
    line = refused(name)
    assert str(root / place) in line and message in line and "; put that right, or " in line
    assert line == refused(name, "real")
    assert data_command.main(["verify", name]) == 2
    assert line in capsys.readouterr().err.splitlines()
    assert data_command.main(["status", name]) == 0
    assert "nothing: " in capsys.readouterr().out
    assert resolve(name, "standin").kind == "stand-in"  # who asks for it gets it


def test_a_line_is_one_line_whatever_a_folder_is_called(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lines were printed by `data verify`, where a run had one."""
    monkeypatch.setenv("DFA_DATA_DIR", str(root / "a\nb"))
    link("MNIST")(root / "a\nb")
    assert data_command.main(["verify", "mnist"]) == 2
    assert refused("mnist") in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("name", "closed", "modes"),
    [
        ("mnist", "MNIST", (0, 0o444)),  # one that may be entered need not be listed: no file is in it
        ("criteo", "criteo", (0, 0o444)),
        (LEGO, "nerf_synthetic", (0, 0o311, 0o444)),
        (LEGO, "nerf_synthetic/lego_400", (0, 0o311, 0o444)),
        (LEGO, "nerf_synthetic/lego/train", (0, 0o311)),
        (FERN, "nerf_llff_data/fern", (0, 0o311, 0o444)),
    ],
)
def test_a_folder_that_may_not_be_looked_into_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, closed: str, modes: tuple[int, ...]
) -> None:
    """Without it a folder that another user has copied counts as none."""
    (root / closed).mkdir(parents=True)
    for mode in modes:
        with monkeypatch.context() as patch:
            forbid(patch, root / closed, mode)
            line = refused(name)
        assert str(root / closed) in line and "cannot be read (Permission denied); put that right, or " in line


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("mnist", folder("MNIST/raw")),
        ("criteo", folder("criteo")),
        (LEGO, folder("nerf_synthetic/lego_400/train")),
        (LEGO, files("nerf_synthetic/readme.txt", "nerf_synthetic/chair/train/r_0.png")),
        (LEGO, folder("nerf_synthetic/lego")),
        (FERN, files("nerf_llff_data/fern/readme.txt")),
    ],
)
def test_empty_folders_and_other_datasets_are_no_data(root: Path, name: str, put: Put) -> None:
    """A search for what is broken must not find something where there is nothing."""
    put(root)
    assert resolve(name, "auto", "smoke").kind == "stand-in"
    with pytest.raises(AbsentError):
        resolve(name, "real")


def test_what_is_whole_is_taken_whatever_is_broken_beside_it(root: Path) -> None:
    """A link to another user's copy that is gone is no reason to refuse one's own."""
    for name in ("lego_400", "lego_800", "lego_100"):
        write_balls(root / "nerf_synthetic" / name, "blender")
    shutil.rmtree(root / "nerf_synthetic" / "lego_800")
    link("nerf_synthetic/lego", "nerf_synthetic/lego_800", "MNIST")(root)
    files(*(f"mnist/raw/{name}" for name in IDX_FILES))(root)
    assert resolve(LEGO, "auto").folder.name == "lego_400"
    assert resolve("mnist", "auto").folder == root / "mnist" / "raw"
