"""Generated pictures of glyphs, a smooth curve for each class, which no linear map of the pixels tells apart.

Glyph and background have random colours, so that a class has no mean picture: what tells it is the shape, wherever it
is and however it is turned.
"""

from __future__ import annotations

import numpy as np

_POINTS = 28  # on a curve
_WAVES = 3  # of each coordinate of a curve
_CHUNK = 512  # images drawn at a time
_LANGUAGE = 20201128  # seeds the curves: the same classes in every part and size of a stand-in


def class_curves(classes: int) -> np.ndarray:
    """Points of a closed curve for each class, ``(classes, points, 2)`` in [-1, 1]."""
    rng = np.random.default_rng(_LANGUAGE)
    turn = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    waves = np.arange(1, _WAVES + 1)[:, None]
    size, phase = rng.normal(size=(2, classes, 2, _WAVES, 1))
    curves = (size / waves * np.cos(waves * turn + np.pi * phase)).sum(2)  # (classes, 2, points)
    return (curves / np.abs(curves).max((1, 2), keepdims=True)).transpose(0, 2, 1)


def draw_glyphs(labels: np.ndarray, channels: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Pictures of the labels' classes, ``(n, channels, side, side)`` uint8."""
    chunks = [labels[start : start + _CHUNK] for start in range(0, len(labels), _CHUNK)]
    return np.concatenate([_draw(chunk, channels, side, rng) for chunk in chunks])


def _draw(labels: np.ndarray, channels: int, side: int, rng: np.random.Generator) -> np.ndarray:
    n = len(labels)
    ink = _ink(_placed(labels, side, rng), side)[:, None]  # (n, 1, side, side)
    ground, colour = _colours(n, channels, rng)
    noise = rng.normal(0, 0.06, (n, channels, side, side))
    pixels = ground + (colour - ground) * ink + noise
    return np.rint(255 * pixels.clip(0, 1)).astype(np.uint8)


def _placed(labels: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """The points of each picture's curve in pixels, ``(n, points, 2)``: turned, scaled and moved a little."""
    n = len(labels)
    angle, scale = rng.normal(0, 0.2, n), rng.uniform(0.26, 0.36, n) * side
    turned = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(n, 2, 2)
    centre = side / 2 + rng.uniform(-0.07, 0.07, (n, 1, 2)) * side
    return class_curves(int(labels.max()) + 1)[labels] @ turned * scale[:, None, None] + centre


def _ink(points: np.ndarray, side: int) -> np.ndarray:
    """How much of each pixel the curve covers, ``(n, side, side)`` in [0, 1]."""
    centres = np.arange(side) + 0.5
    # A gap between two points of a curve is about the width of the pen.
    x, y = ((points[..., axis, None] - centres) ** 2 for axis in (0, 1))  # (n, points, side)
    distance = np.sqrt((y[..., :, None] + x[..., None, :]).min(1))
    return 1 / (1 + np.exp((distance - 0.055 * side) * 3))


def _colours(n: int, channels: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours of ground and glyph, ``(n, channels, 1, 1)`` each, .45 or more apart in every channel."""
    low, gap = rng.uniform(0, 0.45, (n, channels)), rng.uniform(0.45, 0.55, (n, channels))
    swapped = rng.random((n, channels)) < 0.5
    pair = np.where(swapped, low + gap, low), np.where(swapped, low, low + gap)
    return pair[0][..., None, None], pair[1][..., None, None]
