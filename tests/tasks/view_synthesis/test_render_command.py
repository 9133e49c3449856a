"""The turn-around of a recorded run: the frames are the model's, and every mistake ends in one line."""

from __future__ import annotations

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.records.record import Record, artefact_path, read_record, write_atomically, write_record
from benchmarks.render import turn_around
from benchmarks.render.__main__ import main
from benchmarks.render.turn_around import as_gif, resized
from benchmarks.settings.compose import compose
from benchmarks.tasks.view_synthesis import rendering
from benchmarks.tasks.view_synthesis.config import NeRFConfig, RenderOptions
from benchmarks.tasks.view_synthesis.rendering import NeRF, Rays
from datasets.core.source import Source
from datasets.registry import resolve
from datasets.scenes.cameras import Intrinsics, pixel_rays, to_ndc
from datasets.scenes.load import Scene, SceneOptions, load_scene, turn_around_poses

LEGO, FERN = "nerf_synthetic/lego", "llff_real/fern"
MODEL = {"depth": 2, "width": 16, "position_frequencies": 4, "direction_frequencies": 2, "density_bias": 0.3}
SAMPLES = {"coarse_samples": 8, "fine_samples": 8}

Spoil = Callable[[Path], object]  # given a record's file
#: Changes of a tensor that leave no weights.
UNFIT: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    lambda w: w * math.nan,
    lambda w: torch.where(w == w.max(), math.inf, w),
    lambda w: w > 0,
    lambda w: w.to(torch.complex64),
    lambda w: w.to(torch.int64),
)


def tiny_model() -> NeRF:
    """Colourful and half transparent, different from every side."""
    torch.manual_seed(3)
    model = NeRF(NeRFConfig(**MODEL))
    with torch.no_grad():
        for parameter in model.fine.parameters():
            parameter *= 2
    return model.requires_grad_(False)


def standin(dataset: str) -> Source:
    return resolve(dataset, "standin", "smoke")


def a_record(dataset: str = LEGO) -> Record:
    """As a run on the stand-in would have left it, apart from what rendering does not ask for."""
    return Record(
        task=dataset,
        domain="view_synthesis",
        architecture="nerf",
        dataset=dataset,
        method="bp",
        profile="smoke",
        seed=0,
        config={"task": {"model": MODEL, "chunk": 100, "downscale": 1, **SAMPLES}},
        config_hash="0123456789ab",
        data={"source": "stand-in", "fingerprint": standin(dataset).fingerprint},
    )


def record_run(folder: Path, record: Record) -> Path:
    """Write the record and its weights; returns the record's file."""
    path = write_record(record, folder / "records")
    torch.save(tiny_model().state_dict(), artefact_path(path, "weights.pt"))
    return path


@pytest.fixture
def path(folder: Path) -> Path:
    """A record with its weights, in an empty current folder."""
    return record_run(folder, a_record())


def frames_of(file: Path) -> list[np.ndarray]:
    with Image.open(file) as gif:
        frames = []
        for number in range(gif.n_frames):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("RGB")).astype(int))
    return frames


def rendered(scene: Scene, pose: torch.Tensor, camera: Intrinsics) -> np.ndarray:
    """The model's picture (height, width, 3) in 0 … 255, all rays at once."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    pixels = torch.from_numpy(np.stack([rows.ravel(), columns.ravel()], axis=1))
    origins, directions = pixel_rays(camera, pose, pixels)
    views = directions / directions.norm(dim=-1, keepdim=True)
    if scene.ndc:
        origins, directions = to_ndc(origins, directions, camera)
    options = RenderOptions(scene.near, scene.far, **SAMPLES, background=1.0 if scene.white_background else 0.0)
    _, fine = tiny_model()(Rays(origins, directions, views), options)
    return fine.rgb.reshape(camera.height, camera.width, 3).numpy() * 255


@pytest.mark.parametrize("dataset", [LEGO, FERN])
def test_frames_are_what_the_model_shows_along_the_way(folder, dataset, capsys):
    """Without it a film could show other weights, another camera, mixed-up poses or the coarse field, and look fine."""
    path = record_run(folder, a_record(dataset))
    assert main([str(path), "--frames", "5", "--scale", "0.5", "--out", "a.gif"]) == 0
    assert capsys.readouterr().out.startswith("a.gif: 5 frames, 16×16 pixels")
    scene = load_scene(standin(dataset), SceneOptions())
    frames = frames_of(folder / "a.gif")
    expected = [rendered(scene, pose, scene.intrinsics.downscaled(2)) for pose in turn_around_poses(scene, 5)]
    for shown, true in zip(frames, expected, strict=True):
        assert true.std(axis=(0, 1)).max() > 3  # something is to be seen
        # 256 pixels need 256 colours at most: little is lost but the rounding
        assert np.abs(shown - true).max() < 6 and np.abs(shown - true).mean() < 1
    nearest = [np.argmin([np.abs(shown - true).mean() for true in expected]) for shown in frames]
    assert nearest == [0, 1, 2, 3, 4]


def test_by_default_it_lies_beside_the_record(path):
    """Without it films of several runs would overwrite each other, or a folder of records could not be read."""
    assert main([str(path), "--frames", "1"]) == 0
    file = path.with_name("seed0-0123456789ab.turn_around.gif")
    assert [frame.shape for frame in frames_of(file)] == [(32, 32, 3)]
    assert sorted(path.parent.iterdir()) == sorted([path, file, artefact_path(path, "weights.pt")])


def test_a_film_repeats_for_ever_at_its_speed_and_keeps_its_colours(tmp_path):
    """Without it a film would stop after a turn, or show one frame's colours in the palette of another."""
    colours = [(255, 0, 0), (0, 128, 255), (16, 32, 48)]
    (tmp_path / "a.gif").write_bytes(as_gif([Image.new("RGB", (9, 5), colour) for colour in colours], 40))
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.info["loop"], film.info["duration"]) == (3, 0, 40)
    for frame, colour in zip(frames_of(tmp_path / "a.gif"), colours, strict=True):
        assert frame.shape == (5, 9, 3) and (frame == colour).all()


@given(st.integers(1, 900), st.integers(1, 900), st.floats(0.001, 4))
def test_a_scaled_camera_sees_the_same(height, width, scale):
    """Without it rounded sizes would shift the picture, or map a forward-facing scene to other coordinates."""
    camera = Intrinsics(1.3 * width, 1.1 * width, 0.4 * width, 0.55 * height, height, width)
    other = resized(camera, scale)
    assert abs(other.width - scale * width) <= 0.5 or other.width == 1
    assert abs(other.height - scale * height) <= 0.5 or other.height == 1
    # The directions to the image's corners and the scale of NDC are those of the whole image.
    for one in (camera, other):
        assert one.fx / one.width == pytest.approx(1.3)
        assert one.fy / one.height == pytest.approx(1.1 * width / height)
        assert (one.cx / one.width, one.cy / one.height) == pytest.approx((0.4, 0.55))


def changed(**fields: Any) -> Spoil:
    """Another record in the place of the first, under its name."""
    return lambda path: write_atomically(path, json.dumps(asdict(replace(read_record(path), **fields))))


def stored(change: Callable[[torch.Tensor], torch.Tensor]) -> Spoil:
    """Changes one of the weights."""

    def spoil(path: Path) -> None:
        state = tiny_model().state_dict()
        name = next(reversed(state))
        torch.save(state | {name: change(state[name])}, artefact_path(path, "weights.pt"))

    return spoil


def weights(content: bytes) -> Spoil:
    return lambda path: artefact_path(path, "weights.pt").write_bytes(content)


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


class Intruder:
    """Makes a folder when it is unpickled; `refused` would find it."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("intruder",)


def with_program(program: bytes) -> bytes:
    """A file of weights whose pickle is another program: unpickling it can raise anything."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pickled({"a": torch.zeros(2)}))) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.infolist():
            new.writestr(member, program if member.filename.endswith("data.pkl") else old.read(member))
    return file.getvalue()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "there is no such record"),
        (lambda path: path.write_text("{}"), "not a readable record"),
        (changed(architecture="gcn", task="citation/gcn_cora"), "citation/gcn_cora, which is not view synthesis"),
        (changed(status="failed", reason="out of memory"), r"recorded as failed \(out of memory\)"),
        (changed(status="diverged", reason="not finite"), r"recorded as diverged \(not finite\)"),
        (changed(config={"method": {}}), "configuration does not fit this version .*run it again"),
        (changed(config={"task": {"model": MODEL, "lens": 1}}), "configuration does not fit this version .*lens"),
        (changed(config={"task": {"model": MODEL, "rays": "x"}}), "configuration does not fit this version .*rays"),
        # What no machine takes: it would be killed, or end another's work.
        (changed(config={"task": {"model": MODEL, "coarse_samples": 2**31 - 1}}), "coarse_samples=.*from 1 to 4096"),
        (changed(config={"task": {"model": MODEL, "chunk": 0}}), "chunk=0: must be from 1"),
        (
            changed(config={"task": {"model": MODEL | {"depth": 2**31 - 1}}}),
            "not the weights .*depth=2147483647, and no",
        ),
        (changed(data={"source": "stand-in", "fingerprint": "f0"}), "learned the stand-in data f0, .*run it again"),
        (changed(data={"source": "real", "fingerprint": "f0"}), "nerf_synthetic/lego: no files in"),
        (
            lambda path: artefact_path(path, "weights.pt").unlink(),
            r"weights.pt: the weights of this run are missing; .*run it again: python -m benchmarks.run "
            r"task=nerf_synthetic/lego method=bp profile=smoke seed=0 data=standin\n",
        ),
        (weights(b"not a zip file"), "weights.pt: not the weights of this run"),
        (weights(pickled([1.0])), "weights.pt: not the weights of this run"),
        (weights(pickled(Intruder())), "weights.pt: not the weights of this run"),
        (weights(with_program(b".")), "weights.pt: not the weights of this run"),
        (weights(with_program(b"h\x29.")), "weights.pt: not the weights of this run"),
        (weights(b""), "weights.pt: not the weights of this run"),
        *((stored(change), "weights.pt: not the weights of this run .*finite floating-point") for change in UNFIT),
        (weights(pickled({"a": torch.zeros(2)})), "weights.pt: not the weights of this run"),
        (changed(config={"task": {"model": MODEL | {"width": 32}}}), "weights.pt: not the weights of this run"),
        (changed(config={"task": {"model": MODEL | {"width": 3}}}), "task.model.width=3"),
    ],
)
def test_a_run_that_cannot_be_rendered_ends_in_one_line(path, spoil, message, capsys, folder):
    """Without it somebody's error, deep in a stack of calls, would have to tell what is wrong with the record."""
    spoil(path)
    refused(folder, [str(path)], message, capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frames", "0"], "'0' is not a positive whole number"),
        (["--frames", "many"], "'many' is not a positive whole number"),
        (["--fps", "0"], "--fps 0: must lie between 1 and 50"),
        (["--scale", "0"], "--scale 0: must be greater than 0"),
        (["--scale", "nan"], "--scale nan: must be greater than 0"),
        (["--out", "a.mp4"], r"--out a.mp4: must name a file that ends in .gif"),
        (["--out", "nowhere/a.gif"], "nowhere is not a folder that can be written to"),
    ],
)
def test_impossible_wishes_end_in_one_line(path, options, message, capsys, folder):
    """Without it an hour of rendering could end in an error that was plain from the start."""
    refused(folder, [str(path), *options], message, capsys)


def test_weights_of_another_precision_are_weights(path):
    """They were rendered, and are."""
    stored(torch.Tensor.double)(path)
    assert main([str(path), "--frames", "1", "--scale", "0.1"]) == 0


@pytest.mark.parametrize(
    ("task", "dataset", "variant"),
    [
        ("capture/desk", "capture/desk", "task.dataset=capture/desk"),
        ("nerf_synthetic/lego_400", "nerf_synthetic/lego_400", "task.dataset=nerf_synthetic/lego_400"),
        (LEGO, LEGO, ""),
    ],
)
def test_the_command_that_repeats_a_run_names_a_task_that_there_is(path, task, dataset, variant, capsys):
    """The task of a capture is named after its folder, and no `task=` has that name."""
    config = {"task": {"model": MODEL, "lens": 1}}
    changed(task=task, dataset=dataset, variant=variant, config=config)(path)
    assert main([str(path)]) == 2
    command = capsys.readouterr().err.partition("python -m benchmarks.run ")[2].strip()
    assert " with " not in command
    planned = compose([one for one in command.split() if not one.startswith("data=")])
    assert (planned.task.name, planned.task.dataset) == (task, dataset)


def test_other_settings_stay_beside_the_command(path, capsys):
    variant = "task.dataset=capture/desk, task.optim.lr=0.1"
    changed(task="capture/desk", dataset="capture/desk", variant=variant, config={"task": {"model": 1}})(path)
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.endswith("task.dataset=capture/desk method=bp profile=smoke seed=0 data=standin "
                                            "with task.optim.lr=0.1\n")  # fmt: skip


def refused(folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with code 2 and one line, and has written nothing."""
    before = sorted(folder.rglob("*"))
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert re.search(message, printed.err)
    assert sorted(folder.rglob("*")) == before


def test_an_interrupt_leaves_the_film_that_was_there(path, monkeypatch, capsys, folder):
    """Without it half a film could take the place of a whole one."""
    render, calls = rendering.render_in_chunks, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return render(*arguments)

    monkeypatch.setattr(turn_around, "render_in_chunks", interrupted)
    (folder / "a.gif").write_text("the old one")
    assert main([str(path), "--frames", "3", "--scale", "0.2", "--out", "a.gif"]) == 130
    assert (folder / "a.gif").read_text() == "the old one" and len(calls) == 2
    assert {file.name for file in folder.iterdir()} == {"records", "a.gif"}
    assert capsys.readouterr().err == "interrupted; a.gif was not written\n"


@pytest.mark.parametrize("name", [".", "/", ""])
def test_what_names_no_file_is_no_record(name, capsys):
    """As an empty variable of the shell gives it."""
    with pytest.raises(SystemExit) as ended:
        main([name])
    assert ended.value.code == 2 and "is no record; name the .json file of a run" in capsys.readouterr().err
