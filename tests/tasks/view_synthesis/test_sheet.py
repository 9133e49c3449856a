"""Contact sheets: the right colours at the right places, of every size of image."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from benchmarks.tasks.view_synthesis.rendering import Picture, integrate
from benchmarks.tasks.view_synthesis.sheet import SheetRow, contact_sheet

RED, GREEN, BLUE, OCHRE, TEAL = (255, 0, 51), (0, 255, 102), (51, 0, 255), (204, 153, 51), (0, 102, 102)
NEAR, FAR = 2.0, 6.0


def plain(colour: tuple[int, ...], height: int = 32, width: int = 32) -> Tensor:
    return (torch.tensor(colour) / 255).expand(height, width, 3)


def row(truth: Tensor, rgb: Tensor, depth: float | Tensor = 4.0, psnr: float = 20.0, name: str = "r_0") -> SheetRow:
    return SheetRow(name, truth, rgb, torch.as_tensor(depth).expand(truth.shape[:2]), psnr)


def place(sheet: np.ndarray, colour: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the rectangle that a colour fills."""
    found = np.argwhere((sheet == colour).all(-1))
    (top, left), (height, width) = found.min(0), np.ptp(found, axis=0) + 1
    assert len(found) == height * width, "not a rectangle"
    return top, left, height, width


def panels(sheet: Image.Image, truth: tuple[int, ...], rgb: tuple[int, ...]) -> list[np.ndarray]:
    """The four panels of the row whose truth and rendering have these plain colours; columns are evenly spaced."""
    pixels = np.asarray(sheet)
    top, left, height, width = place(pixels, truth)
    again, second, *size = place(pixels, rgb)
    assert (again, size) == (top, [height, width])
    lefts = [left + column * (second - left) for column in range(4)]
    return [pixels[top : top + height, start : start + width] for start in lefts]


def colour_of(panel: np.ndarray) -> list[int]:
    """The one colour of a panel."""
    colours = np.unique(panel.reshape(-1, 3), axis=0)
    assert len(colours) == 1
    return colours[0].tolist()


def mapped(name: str, value: float) -> list[int]:
    return list(colormaps[name](value, bytes=True)[:3])


def test_truth_is_where_it_is_looked_for():
    """Without it a panel could be turned, mirrored, cut or blurred: each pixel becomes a block of 5 × 5."""
    truth = plain(RED).clone()
    truth[:8, 16:], truth[8:, :16], truth[8:, 16:] = (plain(c, 1, 1)[0, 0] for c in (GREEN, BLUE, OCHRE))
    pixels = np.asarray(contact_sheet([row(truth, plain(TEAL))], NEAR, FAR))
    top, left, *size = place(pixels, RED)
    assert size == [40, 80]
    assert place(pixels, GREEN) == (top, left + 80, 40, 80)
    assert place(pixels, BLUE) == (top + 40, left, 120, 80)
    assert place(pixels, OCHRE) == (top + 40, left + 80, 120, 80)
    rendering = place(pixels, TEAL)
    assert (rendering[0], rendering[2:]) == (top, (160, 160)) and rendering[1] >= left + 160


@pytest.mark.parametrize(
    ("size", "shown"), [((32, 32), (160, 160)), ((20, 30), (120, 180)), ((100, 100), (200, 200)), ((200, 170),) * 2]
)
def test_small_images_are_enlarged_by_whole_numbers(size, shown):
    """Without it single pixels could not be seen, or would be blurred into their neighbours."""
    sheet = contact_sheet([row(plain(RED, *size), plain(BLUE, *size))], NEAR, FAR)
    assert [panel.shape for panel in panels(sheet, RED, BLUE)] == [(*shown, 3)] * 4


@pytest.mark.parametrize("rows", [1, 3])
def test_large_images_are_reduced_to_less_than_a_megabyte(rows):
    """Without it the sheets of a sweep would fill a disk, and none could be committed. Noise is the worst there is."""
    torch.manual_seed(0)
    noisy = [
        row(torch.rand(800, 800, 3), torch.rand(800, 800, 3), NEAR + 4 * torch.rand(800, 800)) for _ in range(rows)
    ]
    file = io.BytesIO()
    contact_sheet(noisy, NEAR, FAR).save(file, "PNG")
    assert len(file.getvalue()) < 1_000_000


def test_reduced_images_keep_colour_and_shape():
    """Without it a forward-facing scene could be squeezed."""
    sheet = contact_sheet([row(plain(RED, 378, 504), plain(BLUE, 378, 504))] * 3, NEAR, FAR)
    height, width = panels(sheet.crop((0, 0, sheet.width, 230)), RED, BLUE)[0].shape[:2]
    assert width < 504 and width / height == pytest.approx(504 / 378, rel=0.01)


def test_identical_images_have_no_error():
    """Without it a perfect rendering could look wrong, or a wrong one perfect."""
    sheet = contact_sheet([row(plain(RED), plain(RED) + 1e-9), row(plain(GREEN), plain(BLUE))], NEAR, FAR)
    first = np.asarray(sheet)[: place(np.asarray(sheet), GREEN)[0]]
    zero = (first == mapped("magma", 0.0)).all(-1)
    assert 160 * 160 <= zero.sum() <= 160 * 160 + 100  # the colour bar has it too
    assert colour_of(panels(sheet, GREEN, BLUE)[2]) == mapped("magma", 1.0)


def test_error_is_the_mean_absolute_difference_on_a_fixed_scale():
    """Without it errors of opposite signs would cancel, or sheets of two methods look equally bad."""
    rgb = (OCHRE[0] + 51, OCHRE[1] - 51, OCHRE[2])  # 0.2, -0.2 and 0
    error = panels(contact_sheet([row(plain(OCHRE), plain(rgb))], NEAR, FAR), OCHRE, rgb)[2]
    assert colour_of(error) == mapped("magma", 0.4 / 3 / 0.5)


def test_error_of_reduced_images_is_that_of_their_pixels():
    """Without it a rendering that is right on average would have no error: half grey for a fine chessboard."""
    board = (torch.arange(800)[:, None] + torch.arange(800)) % 2
    truth, rgb = board[..., None].expand(-1, -1, 3).float(), plain(TEAL, 800, 800) * 0 + 0.5
    sheet = np.asarray(contact_sheet([row(truth, rgb)], NEAR, FAR))
    assert (sheet == mapped("magma", 1.0)).all(-1).sum() > 90_000


@pytest.mark.parametrize(("depth", "shade"), [(2.0, 1.0), (6.0, 0.0), (3.0, 0.75), (9.0, 0.0), (1.0, 1.0)])
def test_depth_is_bright_where_it_is_near(depth, shade):
    """Without it depths would be scaled by what is seen, and the same surface change its colour from view to view."""
    sheet = contact_sheet([row(plain(RED), plain(BLUE), depth)], NEAR, FAR)
    assert colour_of(panels(sheet, RED, BLUE)[3]) == mapped("viridis", shade)


def test_light_that_met_nothing_comes_from_far():
    """Without it the background would be the nearest thing in the picture."""
    t, ahead = torch.tensor([[3.0, 4.0, 5.0]]).expand(3, -1), torch.tensor([[0.0, 0.0, 1.0]]).expand(3, -1)
    raw = torch.zeros(3, 3, 4)
    raw[1, 0, 3], raw[2, 0, 3] = 50.0, 0.6931472  # nothing; a wall at 3; half of the light from 3
    seen = integrate(raw, t, ahead, background=1.0)
    depth = Picture(*seen[:3]).depth_with_background(far=6.0)
    torch.testing.assert_close(depth, torch.tensor([6.0, 3.0, 4.5]))


def test_each_row_has_its_own_caption():
    """Without it a PSNR could stand above another view, or none at all."""
    before = [row(plain(RED), plain(BLUE)), row(plain(GREEN), plain(OCHRE))]
    for changed in (row(plain(GREEN), plain(OCHRE), psnr=29.0), row(plain(GREEN), plain(OCHRE), name="r_7")):
        one, other = (np.asarray(contact_sheet([before[0], second], NEAR, FAR)) for second in (before[1], changed))
        differ = np.argwhere((one != other).any(-1))[:, 0]
        (first, _, height, _), (second, *_) = place(one, RED), place(one, GREEN)
        assert len(differ) and differ.min() >= first + height and differ.max() < second


@pytest.mark.parametrize(
    ("rows", "near", "message"),
    [
        ([], NEAR, "0 rows of a sheet"),
        ([row(plain(RED), plain(RED)), row(plain(RED, 16), plain(RED, 16))], NEAR, "2 rows .* give one size"),
        ([row(plain(RED), plain(RED))], FAR, "near must be less than far"),
    ],
)
def test_impossible_sheets_are_refused(rows, near, message):
    """Without it the rows of a scene with mixed sizes would overlap."""
    with pytest.raises(ValueError, match=message):
        contact_sheet(rows, near, FAR)


def test_images_of_a_row_have_one_shape():
    """Without it a rendering with its rays in a line would be broadcast against the truth."""
    with pytest.raises(ValueError, match=r"r_9: .*shapes \[\(32, 32, 3\), \(1024, 3\), \(32, 32\)\]"):
        row(plain(RED), plain(RED).reshape(-1, 3), name="r_9")
