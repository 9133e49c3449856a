"""A small ray tracer for stand-in scenes: spheres and boxes, procedural textures, highlights that move with the eye.

Its cameras are an eye with three directions, and share no code with `scenes.cameras` and the loaders: that a loaded
scene's rays meet what was drawn here is then a test of both. Colours are linear combinations in [0, 1]; there is no
gamma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Vector = tuple[float, float, float]

_RAYS = 8192  # traced at a time, so that what is computed of them stays in the processor's cache


@dataclass(frozen=True)
class Material:
    """A surface of two colours and a highlight.

    pattern: "plain", "checker" (cubes), "stripes" (bent waves) or "dots"; frequency: its cells per unit of length.
    gloss: brightness of the highlight (Blinn–Phong); sharpness: its exponent.
    """

    colour: Vector
    second: Vector = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    frequency: float = 1.0
    gloss: float = 0.0
    sharpness: float = 30.0


class Solid(Protocol):
    """A shape with a material."""

    @property
    def material(self) -> Material:
        """The colour of its surface."""

    def intersect(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(n,): t > 0 at which origin (3,) + t · directions (n, 3) enters the solid; inf where it does not."""

    def local(self, points: np.ndarray) -> np.ndarray:
        """(n, 3): the points of the surface in the solid's own coordinates, which carry the texture."""

    def normals(self, points: np.ndarray) -> np.ndarray:
        """(n, 3): outward, of length 1."""


@dataclass(frozen=True)
class Sphere:
    """A ball."""

    centre: Vector
    radius: float
    material: Material

    def intersect(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """See `Solid`. The smaller root of |origin + t · direction − centre| = radius."""
        offset = origin - np.asarray(self.centre)
        a = np.einsum("ni,ni->n", directions, directions)
        b = directions @ offset
        discriminant = b**2 - a * (offset @ offset - self.radius**2)
        t = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
        return np.where((discriminant > 0) & (t > 0), t, np.inf)

    def local(self, points: np.ndarray) -> np.ndarray:
        """See `Solid`."""
        return points - np.asarray(self.centre)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """See `Solid`."""
        return self.local(points) / self.radius


@dataclass(frozen=True)
class Box:
    """A cuboid: its half edges along x, y, z, then turned about the z axis by an angle (radians)."""

    centre: Vector
    halves: Vector
    angle: float
    material: Material

    def intersect(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """See `Solid`. The ray is inside the box while it is between all three pairs of faces."""
        turned = self._axes().T @ directions.T  # (3, n): numpy is quick along a long last axis
        offset, halves = self.local(origin)[:, None], np.asarray(self.halves)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (-halves - offset) / turned, (halves - offset) / turned
        enter = np.fmin(first, second).max(axis=0)
        leave = np.fmax(first, second).min(axis=0)
        return np.where((enter < leave) & (enter > 0), enter, np.inf)

    def local(self, points: np.ndarray) -> np.ndarray:
        """See `Solid`."""
        return (points - np.asarray(self.centre)) @ self._axes()

    def normals(self, points: np.ndarray) -> np.ndarray:
        """See `Solid`: that of the face which the point is nearest to."""
        relative = self.local(points) / np.asarray(self.halves)
        face = np.abs(relative).argmax(axis=1)
        rows = np.arange(len(points))
        return np.sign(relative[rows, face])[:, None] * self._axes().T[face]

    def _axes(self) -> np.ndarray:
        """(3, 3): the box's axes as columns."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


@dataclass(frozen=True)
class World:
    """Solids in the light of a distant lamp; `light` points to it and has length 1."""

    solids: tuple[Solid, ...]
    light: Vector = (0.36, -0.48, 0.8)
    ambient: float = 0.35


@dataclass(frozen=True)
class Eye:
    """A camera: where it is, what it looks at, what is upwards, its horizontal angle of view (radians)."""

    position: Vector
    target: Vector
    up: Vector
    angle: float

    def basis(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directions to the right, upwards and forwards, each (3,)."""
        forward = np.asarray(self.target) - np.asarray(self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, np.asarray(self.up))
        right = right / np.linalg.norm(right)
        return right, np.cross(right, forward), forward


@dataclass(frozen=True)
class Picture:
    """rgba: (size, size, 4) uint8, not premultiplied, black where transparent. depths: nearest and farthest."""

    rgba: np.ndarray
    depths: tuple[float, float]


def draw(world: World, eye: Eye, size: int, samples: int = 2) -> Picture:
    """A square picture with samples × samples rays a pixel; alpha is the share of them that hit something."""
    n = size * samples
    right, up, forward = eye.basis()
    # Screen coordinates of the samples' centres, from −1 to 1, on a screen at distance 1.
    screen = np.tan(eye.angle / 2) * ((2 * np.arange(n) + 1) / n - 1)
    directions = forward + screen[None, :, None] * right - screen[:, None, None] * up
    parts = np.array_split(directions.reshape(-1, 3), n * n // _RAYS + 1)
    traced = [trace(world, np.asarray(eye.position), part) for part in parts]
    colours, depths = (np.concatenate(values) for values in zip(*traced, strict=True))
    hit = np.isfinite(depths)
    alpha = _block_means(hit.reshape(n, n, 1).astype(float), samples)
    summed = _block_means(colours.reshape(n, n, 3), samples)
    rgba = np.concatenate([summed / np.maximum(alpha, 1e-9), alpha], axis=2)
    bounds = (float(depths[hit].min()), float(depths[hit].max())) if hit.any() else (np.inf, np.inf)
    return Picture(np.round(255 * np.clip(rgba, 0, 1)).astype(np.uint8), bounds)


def trace(world: World, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours (n, 3), black where nothing is hit, and t (n,), there inf, of rays from one point."""
    distances = np.stack([solid.intersect(origin, directions) for solid in world.solids])
    nearest = distances.argmin(axis=0)
    t = distances.min(axis=0)
    colours = np.zeros_like(directions)
    for index, solid in enumerate(world.solids):
        seen = (nearest == index) & np.isfinite(t)
        colours[seen] = _shade(world, solid, origin + t[seen, None] * directions[seen], directions[seen])
    return colours, t


def _shade(world: World, solid: Solid, points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(n, 3): ambient and diffuse light on the texture, and the highlight where the eye sees it."""
    material, light = solid.material, np.asarray(world.light)
    normals = solid.normals(points)
    diffuse = np.maximum(normals @ light, 0)[:, None]
    half_way = light - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    half_way /= np.maximum(np.linalg.norm(half_way, axis=1, keepdims=True), 1e-9)
    facing = np.maximum(np.einsum("ni,ni->n", normals, half_way), 0)[:, None]
    highlight = material.gloss * facing**material.sharpness * (diffuse > 0)
    shade = world.ambient + (1 - world.ambient) * diffuse
    return np.minimum(shade * _texture(material, solid.local(points)) + highlight, 1)


def _texture(material: Material, points: np.ndarray) -> np.ndarray:
    """(n, 3): the colour at points in the solid's coordinates."""
    p = material.frequency * points
    if material.pattern == "checker":
        # Shifted, so that no face of a box runs along a change of colour.
        share = np.floor(p + 0.37).sum(axis=1) % 2
    elif material.pattern == "stripes":
        share = 0.5 + 0.5 * np.sin(2 * np.pi * (p[:, 2] + 0.25 * np.sin(4 * p[:, 0]) + 0.25 * np.sin(3 * p[:, 1])))
    elif material.pattern == "dots":
        share = (np.linalg.norm((p + 0.37) % 1 - 0.5, axis=1) < 0.42).astype(float)
    else:
        share = np.zeros(len(p))
    return np.asarray(material.colour) + share[:, None] * (np.asarray(material.second) - np.asarray(material.colour))


def _block_means(values: np.ndarray, block: int) -> np.ndarray:
    """(h, w, c) → (h / block, w / block, c)."""
    height, width, channels = values.shape
    return values.reshape(height // block, block, width // block, block, channels).mean(axis=(1, 3))
