"""The images of a scene: all headers first, then all pixels, decoded in parallel into one array."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from datasets.core.errors import DataError
from datasets.core.files import list_folder, obstacle, reason_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_FORMATS = ("PNG", "JPEG", "WEBP")  # whatever the suffix says, none of Pillow's other decoders is let near a file

_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")  # of 8 bits or less a channel
_MOST_PIXELS = 1 << 26  # of one file; what claims to be larger is no photograph
_MOST_BYTES = 16 << 30  # of the array of a scene's pixels
_THREADS = min(8, os.cpu_count() or 1)  # decoding releases the interpreter lock

# What Pillow's decoders raise for files that are damaged, or not what they claim to be. Some are slips of theirs: a
# palette that is assumed to be there, text where bytes are expected, a list that is too short.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

_UPRIGHT = 1
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF's orientations that swap width and height

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ImageFormat:
    """The form that all images of a scene share: their size in the files, 3 or 4 channels, and the whole number by
    which height and width are divided when they are read."""

    height: int
    width: int
    channels: int
    downscale: int = 1


@dataclass(frozen=True)
class _Header:
    size: tuple[int, int]  # width and height, as stored
    alpha: bool
    orientation: int  # EXIF's


def inspect_images(
    paths: Sequence[Path],
    fix_hint: str,
    downscale: int = 1,
    longest_side: int | None = None,
    *,
    folder: Path | None = None,
    stated: tuple[float, float] | None = None,
) -> ImageFormat:
    """The common format of images; reads their headers only.

    Four channels if any file has transparency. The downscale is the least one, from `downscale` on, that leaves no
    side longer than `longest_side`. folder: the scene's, which no link may lead out of. stated: width and height that
    the camera file gives. Raises DataError, ending in `fix_hint`, naming the first file that is missing, unreadable,
    elsewhere or of another size than the one before it; if EXIF turns an image and `stated` does not tell that the
    poses belong to the pixels as stored; or if all of them do not fit into memory.
    """
    for path in paths:
        check_inside(path, folder or path.parent, fix_hint)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        headers = _in_parallel(lambda path: _header(path, fix_hint), paths)
    width, height = size = headers[0].size
    for path, header in zip(paths, headers, strict=True):
        if header.size != size:
            raise DataError(
                f"{path}: {header.size[0]}×{header.size[1]} pixels where {paths[0].name} has {width}×{height}; "
                f"all images of a scene have one size; {fix_hint}"
            )
        _check_orientation(path, header, stated)
    channels = 4 if any(header.alpha for header in headers) else 3
    if longest_side is not None:
        downscale = max(downscale, -(-max(width, height) // longest_side))
    if downscale > min(width, height):
        raise DataError(f"{paths[0]}: {width}×{height} pixels cannot be downsized by {downscale}; take less")
    n_bytes = len(paths) * (height // downscale) * (width // downscale) * channels
    if n_bytes > _MOST_BYTES:
        raise DataError(f"{paths[0].parent}: the images take {n_bytes / 1e9:.0f} GB; downsize them or take fewer views")
    return ImageFormat(height, width, channels, downscale)


def check_inside(path: Path, folder: Path, fix_hint: str) -> None:
    """Raise DataError, ending in `fix_hint`, if links lead from `path` out of `folder`, which may be one itself."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(folder)):
        raise DataError(
            f"{path} is a link out of the scene's folder, to {real}; put a copy in its place, or {fix_hint}"
        )


def _check_orientation(path: Path, header: _Header, stated: tuple[float, float] | None) -> None:
    """Raise DataError if EXIF turns an image whose poses may belong to the turned pixels: pixels are read as stored.

    They belong to the stored pixels if EXIF swaps width and height, and the camera file gives the stored ones.
    """
    width, height = header.size
    if header.orientation == _UPRIGHT:
        return
    given = stated is not None and abs(stated[0] - width) <= 1 and abs(stated[1] - height) <= 1
    if given and width != height and header.orientation in _ON_ITS_SIDE:
        return
    raise DataError(
        f"{path}: EXIF says that the image is to be turned (orientation {header.orientation}), and pixels are read as "
        "they are stored; if the poses belong to the stored pixels, as COLMAP's do, remove the tag from all images "
        "(exiftool -Orientation= FILES), else turn the pixels (mogrify -auto-orient FILES)"
    )


def decode_images(paths: Sequence[Path], form: ImageFormat, fix_hint: str) -> np.ndarray:
    """(len(paths), height // downscale, width // downscale, channels) uint8, as the format says.

    Beside that array only the images being decoded are in memory, one a thread. A pixel is the mean of its block,
    that of the colours weighted by alpha: compositing and downsizing can be swapped, and no fringes appear. Raises
    DataError naming the file, if one is damaged or truncated.
    """
    rows, columns = form.height // form.downscale, form.width // form.downscale
    images = np.empty((len(paths), rows, columns, form.channels), np.uint8)

    def decode(index: int) -> None:
        images[index] = np.asarray(read_image(paths[index], form, fix_hint))

    _in_parallel(decode, range(len(paths)))
    return images


def check_pixels(paths: Sequence[Path], form: ImageFormat, fix_hint: str) -> None:
    """Decode every image and keep none; errors as `decode_images`."""

    def check(path: Path) -> None:
        read_image(path, form, fix_hint)

    _in_parallel(check, paths)


def read_image(path: Path, form: ImageFormat, fix_hint: str) -> Image.Image:
    """One image in the given format, downsized; errors as `decode_images`."""
    mode = "RGBA" if form.channels == 4 else "RGB"
    with _decoding(path, fix_hint), Image.open(path, formats=_FORMATS) as image:
        image.load()
        pixels = image if image.mode == mode else image.convert(mode)
    if pixels.size != (form.width, form.height):
        raise DataError(f"{path}: changed while it was read; {fix_hint}")
    factor = form.downscale
    if factor == 1:
        return pixels
    box = (0, 0, form.width - form.width % factor, form.height - form.height % factor)
    return pixels.reduce(factor, box)


def shrink_images(paths: Sequence[Path], folder: Path, form: ImageFormat, fix_hint: str) -> None:
    """Write a downsized copy (PNG) of every image into `folder`, under its stem; errors as `decode_images`."""

    def shrink(path: Path) -> None:
        read_image(path, form, fix_hint).save(folder / f"{path.stem}.png")

    _in_parallel(shrink, paths)


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image; hidden ones are other programs' notes."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def list_images(folder: Path, fix_hint: str) -> list[Path]:
    """The image files directly in a folder, by name. Raises DataError, ending in `fix_hint`, if it cannot be read."""
    return [path for path in list_folder(folder, fix_hint) if is_image(path.name)]


def _header(path: Path, fix_hint: str) -> _Header:
    with _decoding(path, fix_hint), Image.open(path, formats=_FORMATS) as image:
        if image.mode not in _MODES:
            raise DataError(f"{path}: pixels of the kind {image.mode}, not 8-bit grey or RGB(A); {fix_hint}")
        if image.width * image.height > _MOST_PIXELS:
            raise DataError(f"{path}: claims {image.width}×{image.height} pixels; {fix_hint}")
        # Not `image.getexif`, which decodes all of a PNG to look behind its pixels.
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        turned = exif.get(ExifTags.Base.Orientation)
        return _Header(
            image.size, image.has_transparency_data, int(turned) if turned and turned in range(2, 9) else _UPRIGHT
        )


def _in_parallel(work: Callable[..., _Result], items: Sequence[Any]) -> list[_Result]:
    """The results, in order; the first error ends it."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, items))


@contextmanager
def _decoding(path: Path, fix_hint: str) -> Iterator[None]:
    """Open and decode a regular file inside the block; refuse a pipe, since a waiting thread hears no signal."""
    if what := obstacle(path):
        raise DataError(f"{path} {what}; {fix_hint}")
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {fix_hint}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not an image, or its beginning is damaged; {fix_hint}") from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno:  # the system's, not Pillow's
            raise DataError(f"{path} cannot be read ({reason_of(error)}); {fix_hint}") from error
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(f"{path} cannot be decoded ({reason}); {fix_hint}") from error
