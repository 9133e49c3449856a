"""Pictures as data: charts and files as ``data:`` addresses, small enough for a report that holds them all.

SVG goes in as text, its coordinates rounded to what a screen shows. A raster picture above `LARGE` is written
again as WebP, which takes a fifth for photographs and scatter plots; smaller ones go in as they are.
"""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from benchmarks.curves import Chart

LARGE = 100_000  # bytes
QUALITY = 85
#: Of the encoder, up to 6, which takes four times as long for a twentieth less.
EFFORT = 2
_MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
#: What a data address may not hold as it is; all else is text that browsers take.
_RESERVED = {"%": "%25", "#": "%23", '"': "%22", "<": "%3C", ">": "%3E", "\n": " "}


@dataclass(frozen=True)
class Picture:
    """A picture with its text alternative, a caption, and the anchor of its provenance ("" for none).

    ``rank`` orders the pictures that do not fit: larger ones are left out first.
    """

    alt: str
    caption: str
    address: str
    width: int
    height: int
    anchor: str = ""
    rank: int = 0
    kind: str = "picture"

    def left_out(self) -> Picture:
        """The same without its content."""
        return replace(self, address="", kind="left_out")


def of_chart(chart: Chart, svg: str, anchor: str, rank: int) -> Picture:
    """A chart of `benchmarks.curves`, drawn as ``svg``."""
    return _of_svg(svg, describe(chart), chart.title, anchor, rank)


#: What Pillow's decoders raise for damaged files.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error),
    *(UnidentifiedImageError, Image.DecompressionBombError),
)


def of_file(path: Path, caption: str, anchor: str = "", rank: int = 0) -> Picture:
    """A picture in a file: SVG, or any raster format that Pillow reads.

    Raises:
        ValueError: not a picture; one line naming the file.
    """
    try:
        if path.suffix == ".svg":
            return _of_svg(path.read_text(encoding="utf-8"), caption, caption, anchor, rank)
        content, media, size = _raster(path.read_bytes())
    except _DAMAGE as error:
        raise ValueError(f"{path}: not a readable picture ({error}); move it away or draw it again") from error
    address = f"data:{media};base64,{base64.b64encode(content).decode()}"
    return Picture(caption, caption, address, *size, anchor, rank)


def describe(chart: Chart) -> str:
    """A chart in words: what it shows and where each line ends."""
    parts = [f"{chart.title} ({chart.subtitle}), over {chart.x_label}"]
    for panel in chart.panels:
        ends = ", ".join(f"{one.name} {one.mean[-1]:.4g}" for one in panel.series)
        parts.append(f"{' '.join(filter(None, (panel.title, panel.label)))}, at the end: {ends}")
    return ". ".join(parts)


def fit(pictures: Iterable[Picture], room: int) -> set[int]:
    """The ids (``id()``) of the pictures that fit into ``room`` bytes, lower ranks first."""
    kept = set()
    for picture in sorted(pictures, key=lambda one: one.rank):
        if len(picture.address) <= room:
            kept.add(id(picture))
            room -= len(picture.address)
    return kept


def _of_svg(text: str, alt: str, caption: str, anchor: str, rank: int) -> Picture:
    short = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    short = re.sub(r' d="[^"]*"', lambda found: re.sub(r"\d+\.\d{2,}", _rounded, found[0]), short)
    size = re.search(r'<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', short)
    if not size:
        raise ValueError("an <svg> whose viewBox begins with 0 0 is missing")
    width, height = (round(float(side) * 4 / 3) for side in size.groups())  # points to pixels
    written = "".join(_RESERVED.get(character, character) for character in re.sub(r"\s+", " ", short).strip())
    return Picture(alt, caption, f"data:image/svg+xml,{written}", width, height, anchor, rank)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}"


def _raster(content: bytes) -> tuple[bytes, str, tuple[int, int]]:
    """Bytes to embed, their media type and the picture's size."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        media = _MEDIA.get(image.format or "")
        if media and len(content) <= LARGE:
            return content, media, image.size
        small = io.BytesIO()
        image.save(small, format="WEBP", quality=QUALITY, method=EFFORT)
        if media and small.tell() >= len(content):
            return content, media, image.size
        return small.getvalue(), "image/webp", image.size
