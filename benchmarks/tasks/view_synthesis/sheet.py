"""Contact sheets: truth, rendering, error and depth of some views side by side, in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import Colormap
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

#: The error that has the brightest colour. One for all sheets, so that they compare.
ERROR_SCALE = 0.5
#: Both maps rise in lightness alone, and so also tell in print what is more.
ERROR_COLOURS, DEPTH_COLOURS = colormaps["magma"], colormaps["viridis"]

_COLUMNS = ("truth", "rendering", "error", "depth")
_PANEL_WIDTH = 160  # pixels at least, by enlarging
# Of all panels together, by reducing. Photographs then take half a megabyte as PNG, noise averaged down from 800×800
# less than a whole one.
_PANEL_PIXELS = 400_000
_GAP, _LINE, _BAR = 8, 18, 8  # pixels: around panels, a line of text, a colour bar
_HEAD = 2 * _LINE + _GAP  # headings and colour bars
_PAPER, _INK = "#e6e6e6", "#1a1a1a"  # not white, which is the background of many scenes


@dataclass(frozen=True)
class SheetRow:
    """One view.

    name: of the photograph. truth, rgb: (height, width, 3), in [0, 1]. depth: (height, width), t along the ray, with
    the background in it (`Picture.depth_with_background`). psnr: dB. All on the CPU.
    """

    name: str
    truth: Tensor
    rgb: Tensor
    depth: Tensor
    psnr: float

    def __post_init__(self) -> None:
        shapes = [tuple(part.shape) for part in (self.truth, self.rgb, self.depth)]
        if not shapes[0] == shapes[1] == (*shapes[2], 3):
            raise ValueError(f"{self.name}: truth, rgb and depth of a sheet have the shapes {shapes}")


def contact_sheet(rows: Sequence[SheetRow], near: float, far: float) -> Image.Image:
    """A row a view, with its name and PSNR; small enough to stay below 1 MB as PNG.

    Error: mean absolute difference over the channels, from 0 (black) to ERROR_SCALE (and more). Depth: bright at t =
    near, dark at t = far; these are the scene's bounds and not the views' extremes, so that sheets of several methods
    compare. (In NDC t is linear in disparity.) Small images are enlarged by a whole number, large ones averaged down.

    Raises ValueError without rows, for rows of different sizes, and unless near < far.
    """
    sizes = {tuple(row.depth.shape) for row in rows}
    if len(sizes) != 1:
        raise ValueError(f"{len(rows)} rows of a sheet with images of the sizes {sorted(sizes)}: give one size")
    if not near < far:
        raise ValueError(f"near={near}, far={far}: near must be less than far")
    rows_high, columns_wide = sizes.pop()
    height, width = _panel_size(rows_high, columns_wide, len(rows))
    step = _LINE + height + _GAP
    sheet = Image.new("RGB", (_left(len(_COLUMNS), width), _HEAD + len(rows) * step), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(_COLUMNS):
        _text(draw, _left(column, width), 0, name)
    _colour_bar(sheet, _left(2, width), width, ERROR_COLOURS, ("0", f"{ERROR_SCALE:g}"))
    _colour_bar(sheet, _left(3, width), width, DEPTH_COLOURS.reversed(), (f"{near:.3g}", f"{far:.3g}"))
    for number, row in enumerate(rows):
        top = _HEAD + number * step
        _text(draw, _GAP, top, f"{row.psnr:.2f} dB   {row.name}")
        for column, panel in enumerate(_panels(row, (height, width), near, far)):
            sheet.paste(Image.fromarray(panel), (_left(column, width), top + _LINE))
    return sheet


def as_pixels(colours: Tensor) -> np.ndarray:
    """The nearest of 256 levels for colours in [0, 1], of any shape, as uint8; what lies outside is cut off."""
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _panel_size(height: int, width: int, rows: int) -> tuple[int, int]:
    """Height and width at which images are shown."""
    reduction = math.sqrt(_PANEL_PIXELS / (len(_COLUMNS) * rows * height * width))
    if reduction < 1:
        return max(1, int(height * reduction)), max(1, int(width * reduction))
    enlargement = math.ceil(_PANEL_WIDTH / width)
    return height * enlargement, width * enlargement


def _panels(row: SheetRow, size: tuple[int, int], near: float, far: float) -> list[np.ndarray]:
    """Truth, rendering, error and depth, (height, width, 3) uint8 each.

    Values are resized, not colours: the mean of two colours of a map need not be one of them. The error is that of
    the full image: in reduced ones, fine detail that is missing would be none.
    """
    error = (row.rgb - row.truth).abs().mean(-1) / ERROR_SCALE
    nearness = (far - row.depth) / (far - near)
    return [
        as_pixels(_resized(row.truth, size)),
        as_pixels(_resized(row.rgb, size)),
        ERROR_COLOURS(_resized(error, size).numpy(), bytes=True)[..., :3],
        DEPTH_COLOURS(_resized(nearness, size).numpy(), bytes=True)[..., :3],
    ]


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Values (height, width, …) at another size: each repeated in a block, or the mean over an area."""
    channels_first = values.reshape(1, *values.shape[:2], -1).permute(0, 3, 1, 2)
    mode = "area" if size[0] < values.shape[0] else "nearest"
    return F.interpolate(channels_first, size, mode=mode)[0].permute(1, 2, 0).reshape(*size, *values.shape[2:])


def _left(column: int, width: int) -> int:
    """Where a column begins."""
    return _GAP + column * (width + _GAP)


def _colour_bar(sheet: Image.Image, left: int, width: int, colours: Colormap, ends: tuple[str, str]) -> None:
    """A map's colours, with the values at its ends."""
    draw = ImageDraw.Draw(sheet)
    margins = [round(draw.textlength(end, _font())) + 4 for end in ends]
    length = max(1, width - sum(margins))
    bar = colours(np.tile(np.linspace(0, 1, length), (_BAR, 1)), bytes=True)[..., :3]
    sheet.paste(Image.fromarray(bar), (left + margins[0], _LINE + (_LINE - _BAR) // 2 + 1))
    _text(draw, left, _LINE, ends[0])
    _text(draw, left + margins[0] + length + 4, _LINE, ends[1])


def _text(draw: ImageDraw.ImageDraw, left: int, top: int, text: str) -> None:
    draw.text((left, top + 2), text, fill=_INK, font=_font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(13)
