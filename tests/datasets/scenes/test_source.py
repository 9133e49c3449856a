"""Which scene a run gets: published names, folders, fingerprints, stand-ins, captures."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import data
from benchmarks.tables.scenes import scenes_of
from datasets.core.errors import DataError
from datasets.fetch.files import fetch
from datasets.registry import find_dataset, known_datasets, resolve
from datasets.scenes.load import SceneOptions, load_scene
from datasets.scenes.standin import STANDINS
from datasets.scenes.tracer import Material, Sphere, World, trace
from tests import REPOSITORY
from tests.helpers.runs import build
from tests.helpers.scene_samples import SIZE, edit_json, write_balls

LEGO, FERN, DESK = "nerf_synthetic/lego", "llff_real/fern", "capture/desk"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, and an empty cache elsewhere."""
    monkeypatch.setenv("DFA_DATA_DIR", str(tmp_path / "root"))
    monkeypatch.setenv("DFA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "root"


def test_the_scenes_are_those_of_the_paper() -> None:
    """A scene under another name would stand in no table beside the paper's number."""
    for suite in ("nerf_synthetic", "llff_real"):
        ours = [name for name in known_datasets() if name.startswith(suite)]
        assert set(ours) == set(scenes_of(suite)) and len(ours) == 8


@pytest.mark.parametrize("folder", ["lego", "lego_400", "lego_123"])
def test_the_real_scene_is_found_in_either_folder(root: Path, folder: str) -> None:
    write_balls(root / "nerf_synthetic" / folder, "blender")
    source = resolve(LEGO, "auto")
    assert (source.kind, source.folder) == ("real", root / "nerf_synthetic" / folder)
    assert len(load_scene(source, SceneOptions()).train) == 6


def test_of_several_sizes_the_largest_is_taken(root: Path) -> None:
    """In the order of the disk, or of letters (90 behind 400), a record's pixels would depend on the machine."""
    for name in ("lego_90", "lego_400", "lego_1000", "lego_old", "lego_", "lego_007", "lego_2000x", "logo_3000"):
        write_balls(root / "nerf_synthetic" / name, "blender")
    (root / "nerf_synthetic" / "lego_5000").mkdir()  # without a camera file
    assert resolve(LEGO, "real").folder.name == "lego_1000"
    (root / "nerf_synthetic" / "lego_1000" / "transforms_val.json").unlink()
    with pytest.raises(DataError, match=r"incomplete .* missing nerf_synthetic/lego_1000/transforms_val.json; unpack"):
        resolve(LEGO, "auto")
    shutil.copytree(root / "nerf_synthetic" / "lego_90", root / "nerf_synthetic" / "lego")
    assert resolve(LEGO, "real").folder.name == "lego"  # as published
    assert fetch(find_dataset(LEGO).manifest, root) is None  # there is nothing to fetch


def test_a_record_says_which_copy_it_has_learned(root: Path) -> None:
    """PSNR at 400 pixels, downsized from 800 or from a copy of 400, are not quite the same."""
    write_balls(root / "nerf_synthetic" / "lego_123", "blender")
    about = build(LEGO, "bp", "data=real").task.about_data
    assert about == "32×32 pixels, 6 training and 4 test views, from lego_123"
    (root / "nerf_synthetic" / "lego_123").rename(root / "nerf_synthetic" / "lego")
    assert build(LEGO, "bp", "data=real").task.about_data == "32×32 pixels, 6 training and 4 test views"


def test_folders_are_never_mixed(root: Path) -> None:
    """Half of one folder and all of another would be images of two sizes, or views of two selections."""
    write_balls(root / "nerf_synthetic" / "lego_400", "blender")
    (root / "nerf_synthetic" / "lego").mkdir()
    assert resolve(LEGO, "real").folder.name == "lego_400"
    shutil.copy(root / "nerf_synthetic" / "lego_400" / "transforms_val.json", root / "nerf_synthetic" / "lego")
    with pytest.raises(DataError, match=r"incomplete .* missing \S+train.json, \S+test.json; unpack nerf_synthetic"):
        resolve(LEGO, "auto")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "train" / "r_3.png").unlink(),
        lambda folder: (folder / "train" / "r_3.png").rename(folder / "train" / "r_9.png"),
        lambda folder: shutil.copy(folder / "train" / "r_1.png", folder / "train" / "r_3.png"),
        lambda folder: edit_json(folder / "transforms_val.json", lambda content: content.update(camera_angle_x=0.7)),
    ],
)
def test_the_fingerprint_changes_with_images_and_cameras(root: Path, change) -> None:
    """Records of two versions of a scene must not be taken for the same run."""
    folder = root / "nerf_synthetic" / "lego"
    write_balls(folder, "blender")
    before = resolve(LEGO, "real")
    (folder / ".DS_Store").touch()
    (folder / "notes.txt").touch()
    assert resolve(LEGO, "real") == before and len(before.fingerprint) == 12
    change(folder)
    assert resolve(LEGO, "real").fingerprint != before.fingerprint


def test_absent_scenes_say_where_to_get_them(root: Path) -> None:
    assert resolve(LEGO, "auto", "smoke").kind == "stand-in"
    for name, archive in ((LEGO, "nerf_synthetic.zip"), (FERN, "nerf_llff_data.zip")):
        with pytest.raises(DataError, match=rf"no files in .*unpack {archive} from https://\S+ in the data root"):
            resolve(name, "real")
        with pytest.raises(DataError, match=rf"has no public address; unpack {archive}"):
            fetch(find_dataset(name).manifest, root)


def cut(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])


def rows(folder: Path, count: int) -> None:
    np.save(folder / "poses_bounds.npy", np.load(folder / "poses_bounds.npy")[:count])


KINDS = {LEGO: "blender", FERN: "llff", DESK: "capture"}
PLACES = {LEGO: "nerf_synthetic/lego_400", FERN: "nerf_llff_data/fern", DESK: "captures/desk"}


@pytest.mark.parametrize(
    ("name", "change", "accepted"),
    [
        (LEGO, lambda folder: None, True),
        (LEGO, lambda folder: (folder / "val" / "r_1.png").unlink(), False),
        (LEGO, lambda folder: cut(folder, "test/r_3.png"), False),
        (LEGO, lambda folder: (folder / "transforms_val.json").unlink(), False),
        (LEGO, lambda folder: edit_json(folder / "transforms_val.json", lambda c: c.update(camera_angle_x=0.7)), False),
        (FERN, lambda folder: None, True),
        (FERN, lambda folder: shutil.rmtree(folder / "images_4"), True),
        (FERN, lambda folder: (shutil.rmtree(folder / "images_4"), shutil.rmtree(folder / "images_8")), False),
        (FERN, lambda folder: (folder / "images_8" / "image003.png").unlink(), False),
        (FERN, lambda folder: cut(folder, "images_8/image003.png"), False),
        (FERN, lambda folder: rows(folder, 7), False),
        (FERN, lambda folder: np.save(folder / "poses_bounds.npy", np.zeros((2, 16))), False),
        (DESK, lambda folder: None, True),
        (DESK, lambda folder: (folder / "images" / "0003.png").unlink(), True),
        (DESK, lambda folder: [(folder / "images" / f"000{i}.png").unlink() for i in range(5)], False),
        (DESK, lambda folder: cut(folder, "images/0003.png"), False),
        (DESK, lambda folder: edit_json(folder / "transforms.json", lambda c: c.update(w=7)), False),
        (DESK, lambda folder: edit_json(folder / "transforms.json", lambda c: c.update(near=3, far=2)), False),
        (DESK, lambda folder: edit_json(folder / "transforms.json", lambda c: c.update(camera_model="F")), False),
        (DESK, lambda folder: (folder / "transforms.json").unlink(), False),
    ],
)
def test_verify_accepts_what_a_run_accepts(root: Path, capsys, name: str, change, accepted: bool) -> None:
    """A scene that is verified and then refused after an hour of queueing, or refused and good: both were so."""
    folder = root / PLACES[name]
    write_balls(folder, KINDS[name])
    change(folder)
    assert data.main(["verify", name]) == (0 if accepted else 2)
    said = capsys.readouterr()
    if accepted:
        load_scene(resolve(name, "real"), SceneOptions())
        assert said.out == f"{name}: cameras and images make a scene (no checksum is published)\n"
        return
    with pytest.raises(DataError) as refused:
        load_scene(resolve(name, "real"), SceneOptions())
    lines = said.err.splitlines()
    assert said.out in (f"{name}: 1 fault\n", f"{name}: 2 faults\n")
    assert str(refused.value) in lines or "incomplete" in str(refused.value)


def small_images(root: Path, kept: str) -> Path:
    """Fern with one folder of images, and that called `images`; returns it."""
    folder = root / PLACES[FERN]
    write_balls(folder, "llff")
    for name in ("images_4", "images_8"):
        if name != kept:
            shutil.rmtree(folder / name)
    return (folder / kept).rename(folder / "images")


@pytest.mark.parametrize("kept", ["images_8", "images_4"])
def test_small_images_called_images_are_told_their_name(root: Path, capsys, kept: str) -> None:
    """They were downsized once more, then refused with fix_hint that did the same again. This fix_hint is followed."""
    images = small_images(root, kept)
    factor = int(kept[-1])
    with pytest.raises(DataError) as caught:
        load_scene(resolve(FERN, "real"), SceneOptions(llff_factor=8))
    assert list((root.parent / "cache").rglob("*.png")) == []
    message = str(caught.value)
    assert f"{8 // factor * SIZE}×{8 // factor * SIZE} pixels where" in message
    old, new, choice = re.search(
        r"; rename the folder (\S+) to (\S+)(?: and give task.llff_factor=(\d))?$", message
    ).groups()
    assert (Path(old), new, choice) == (images, kept, None if factor == 8 else "4")
    assert data.main(["verify", FERN]) == 2 and f"rename the folder {images} to {kept}" in capsys.readouterr().err
    Path(old).rename(Path(old).with_name(new))
    assert len(load_scene(resolve(FERN, "real"), SceneOptions(llff_factor=int(choice or 8))).train) == 7
    assert data.main(["verify", FERN]) == 0
    shutil.copytree(images.with_name(kept), images)
    if factor == 4:
        with pytest.raises(DataError, match=rf"these are images of images_4, which is there: remove {images}$"):
            load_scene(resolve(FERN, "real"), SceneOptions(llff_factor=8))


def test_a_folder_of_the_wrong_size_is_told_its_name(root: Path) -> None:
    folder = small_images(root, "images_4").rename(root / PLACES[FERN] / "images_8")
    with pytest.raises(DataError, match=rf"64×64 pixels .* rename the folder {folder} to images_4 and give task.llff_"):
        load_scene(resolve(FERN, "real"), SceneOptions())


@pytest.mark.parametrize("name", [LEGO, FERN])
def test_stand_ins_go_through_the_loader(name: str) -> None:
    source = resolve(name, "standin", "smoke")
    scene = load_scene(source, SceneOptions())
    sizes = (12, 4, 4) if name == LEGO else (14, 2, 2)
    assert tuple(map(len, (scene.train, scene.valid, scene.test))) == sizes
    assert scene.train.images.shape[1:] == (32, 32, 4 if name == LEGO else 3)
    assert all((source.folder / file).is_file() for file in STANDINS[name].files)
    # Something is to be seen, and not the same from everywhere.
    assert scene.train.images.double().std() > 20
    assert len({image.numpy().tobytes() for image in scene.train.images}) == len(scene.train)


def test_the_same_settings_give_the_same_bytes_and_another_scene_others(tmp_path: Path) -> None:
    contents = []
    for number, name in enumerate((FERN, FERN, "llff_real/room")):
        folder = tmp_path / str(number)
        folder.mkdir()
        STANDINS[name].write(folder, STANDINS[name].settings["smoke"])
        contents.append({path.name: path.read_bytes() for path in folder.rglob("*.*")})
    assert contents[0] == contents[1] and contents[0]["image000.png"] != contents[2]["image000.png"]


def test_the_stand_in_shows_highlights_that_move(tmp_path: Path) -> None:
    """Without view dependence the direction branch of a network would have nothing to learn.

    A point of the world has one colour from everywhere, but for the highlight: with it taken out, colours agree.
    """
    ball = Sphere((0.0, 0.0, 0.0), 0.5, Material((0.5, 0.2, 0.1), (0.1, 0.6, 0.2), "stripes", 3, gloss=0.6))
    dull = replace(ball, material=replace(ball.material, gloss=0.0))
    point = 0.5 * np.array([0.36, -0.48, 0.8])
    eyes = np.array([[1.0, -1.5, 3.0], [2.0, -2.0, 1.5], [-1.0, -2.0, 2.5]])
    for solid, same in ((ball, False), (dull, True)):
        colours = np.concatenate([trace(World((solid,)), eye, (point - eye)[None])[0] for eye in eyes])
        assert (np.ptp(colours, axis=0).max() < 1e-6) == same


def test_a_capture_is_a_folder_of_one_s_own(root: Path) -> None:
    """data=auto must not turn a mistyped name into a stand-in."""
    write_balls(root / "captures" / "desk", "capture")
    source = resolve("capture/desk", "auto")
    assert (source.kind, source.name) == ("real", "capture/desk")
    assert len(load_scene(source, SceneOptions()).train) == 5
    for choice in ("auto", "real"):
        with pytest.raises(DataError, match=r"capture/dsk: incomplete .*export it to captures/dsk under the data root"):
            resolve("capture/dsk", choice)
    scene = load_scene(resolve("capture/any", "standin", "smoke"), SceneOptions())
    assert torch.is_tensor(scene.train.images) and scene.far == 12.0


def test_the_table_of_datasets_does_without_pytorch() -> None:
    """`data status` and the planning of a sweep would wait for seconds before they say anything."""
    program = "import sys, datasets.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0
