"""Decoding images: every pixel in its place, alpha respected, memory bounded, damage reported in one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.core.errors import DataError
from datasets.scenes.images import decode_images, inspect_images, list_images
from datasets.scenes.load import composite
from tests import REPOSITORY

RNG = np.random.default_rng(0)


def saved(folder: Path, *arrays: np.ndarray, suffix: str = "png") -> list[Path]:
    paths = [folder / f"{index}.{suffix}" for index in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        Image.fromarray(array).save(path)
    return paths


def loaded(paths: list[Path], downscale: int = 1) -> np.ndarray:
    return decode_images(paths, inspect_images(paths, "fix_hint", downscale), "fix_hint")


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def test_every_image_is_in_its_place(tmp_path: Path) -> None:
    """Threads finish in any order; the array must not."""
    arrays = [noise(5, 7, 4) for _ in range(20)]
    assert np.array_equal(loaded(saved(tmp_path, *arrays)), np.stack(arrays))


def test_grey_and_opaque_images_become_colour(tmp_path: Path) -> None:
    grey, colour, clear = noise(4, 4), noise(4, 4, 3), noise(4, 4, 4)
    both = loaded(saved(tmp_path, grey, colour))
    assert both.shape == (2, 4, 4, 3)
    assert np.array_equal(both[0], np.repeat(grey[..., None], 3, axis=2)) and np.array_equal(both[1], colour)
    mixed = loaded(saved(tmp_path, colour, clear))
    assert np.array_equal(mixed[0, ..., :3], colour) and (mixed[0, ..., 3] == 255).all()
    assert np.array_equal(mixed[1], clear)


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_downsizing_and_compositing_can_be_swapped(tmp_path: Path, background: float) -> None:
    """Means of colours not weighted by alpha give dark fringes, as transparent pixels are black."""
    rgba = noise(12, 12, 4)
    rgba[rgba[..., 3] < 128] = 0
    rgba[6:, 6:, 3] = 255
    small = composite(torch.from_numpy(loaded(saved(tmp_path, rgba), 4)[0]), background)
    large = composite(torch.from_numpy(rgba), background)
    expected = large.reshape(3, 4, 3, 4, 3).mean(dim=(1, 3))
    assert (small - expected).abs().max() < 2 / 255
    assert (composite(torch.zeros(1, 4, dtype=torch.uint8), background) == background).all()


def test_a_rest_that_fills_no_block_is_cut_off(tmp_path: Path) -> None:
    """As the intrinsics of a downsized camera assume."""
    array = noise(7, 8, 3)
    small = loaded(saved(tmp_path, array), 3)
    expected = array[:6, :6].reshape(2, 3, 2, 3, 3).mean(axis=(1, 3))
    assert small.shape == (1, 2, 2, 3) and np.abs(small[0] - expected).max() <= 1


def test_the_list_is_by_name_and_leaves_out_what_is_no_image(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".c.png", "d.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path, "fix_hint")] == ["a.png", "b.JPG"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "is missing; fix_hint"),
        (cut, "cannot be decoded .*; fix_hint"),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "is not an image.*; fix_hint"),
        (lambda path: path.write_bytes(b""), "is not an image.*; fix_hint"),
        (lambda path: Image.new("RGB", (9, 30)).save(path), "9×30 pixels where 0.* has 30×30.*; fix_hint"),
        (lambda path: Image.new("CMYK", (30, 30)).save(path, "jpeg"), "pixels of the kind CMYK.*; fix_hint"),
    ],
)
def test_a_bad_image_is_one_line_that_names_it(tmp_path: Path, suffix: str, spoil, message: str) -> None:
    paths = saved(tmp_path, *(noise(30, 30, 3) for _ in range(4)), suffix=suffix)
    spoil(paths[2])
    with pytest.raises(DataError, match=rf"2\.{suffix}:? {message}") as caught:
        loaded(paths)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_in_a_png_is_found(tmp_path: Path) -> None:
    paths = saved(tmp_path, noise(30, 30, 3))
    flip(paths[0])
    with pytest.raises(DataError, match=r"0\.png cannot be decoded"):
        loaded(paths)


def test_impossible_sizes_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    paths = saved(tmp_path, noise(8, 8, 3))
    with pytest.raises(DataError, match="8×8 pixels cannot be downsized by 9"):
        inspect_images(paths, "fix_hint", 9)
    Image.new("1", (9_000, 8_000)).save(paths[0])
    with pytest.raises(DataError, match="claims 9000×8000 pixels"):
        inspect_images(paths, "fix_hint")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_is_that_of_the_uint8_images(tmp_path: Path) -> None:
    """A second copy of the images, or one in float32, would not be seen in any number, only in people's memory."""
    Image.new("RGBA", (500, 500), (1, 2, 3, 200)).save(tmp_path / "0.png")
    for index in range(1, 120):
        shutil.copy(tmp_path / "0.png", tmp_path / f"{index}.png")
    program = (
        "import re, sys; from pathlib import Path\n"
        "from datasets.scenes.images import decode_images, inspect_images\n"
        "paths = sorted(Path(sys.argv[1]).iterdir())\n"
        "form = inspect_images(paths, '')\n"
        "peak = lambda: 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "before = peak(); images = decode_images(paths, form, '')\n"
        "print((peak() - before) / images.nbytes)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) < 1.5
