"""Which scene a run gets: published names, folders, fingerprints, stand-ins, captures."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scene_samples import edit_json, write_balls

from benchmarks import data
from benchmarks.tables.scenes import scenes_of
from datasets.errors import DataError
from datasets.fetch import fetch
from datasets.registry import find_dataset, known_datasets
from datasets.scene_standin import STANDINS
from datasets.scene_tracer import Material, Sphere, World, trace
from datasets.scenes import SceneOptions, load_scene
from datasets.source import resolve

LEGO, FERN = "nerf_synthetic/lego", "llff_real/fern"


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


@pytest.mark.parametrize("folder", ["lego", "lego_400"])
def test_the_real_scene_is_found_in_either_folder(root: Path, folder: str) -> None:
    write_balls(root / "nerf_synthetic" / folder, "blender")
    source = resolve(LEGO, "auto")
    assert (source.kind, source.folder) == ("real", root / "nerf_synthetic" / folder)
    assert len(load_scene(source, SceneOptions()).train) == 6


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


def test_verify_looks_at_cameras_and_image_headers(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_balls(root / "nerf_synthetic" / "lego_400", "blender")
    write_balls(root / "nerf_llff_data" / "fern", "llff")
    assert data.main(["verify", LEGO, FERN]) == 0
    (root / "nerf_synthetic" / "lego_400" / "val" / "r_1.png").unlink()
    np.save(root / "nerf_llff_data" / "fern" / "poses_bounds.npy", np.zeros((2, 16)))
    assert data.main(["verify", LEGO, FERN]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "r_1.png is missing" in lines[0] and "shape (2, 16)" in lines[1]


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


@pytest.mark.parametrize("name", ["capture/", "capture/..", "capture/a/b", "capture/a\\b"])
def test_a_capture_s_name_is_one_folder(name: str) -> None:
    with pytest.raises(DataError, match="a folder's plain name"):
        resolve(name)
