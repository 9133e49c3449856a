"""The generated scenes: which solids stand where, and from where they are looked at; each name gives its own.

An object for Blender-format scenes: solids on a base around the origin, within a radius of 1.5, seen from 4 units
away. A stage for forward-facing scenes: solids before a wall, seen from a few points in front; z is upwards in both,
and the stage's eyes look along +y, so that a loader must really change its axes.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from datasets.scenes.tracer import Box, Eye, Material, Solid, Sphere, Vector, World

_SEED = 20200623
_UP = (0.0, 0.0, 1.0)

OBJECT_ANGLE = 0.6911112  # of view, as in NeRF-Synthetic
_OBJECT_DISTANCE = 4.03
_TABLE = -0.45  # height of the base's upper side

_STAGE_ANGLE = 1.0
_STAGE_SPREAD = 0.55  # how far the eyes are from the middle, sideways and in height
_STAGE_DEPTHS = (3.4, 4.6, 5.4, 6.4, 7.2, 7.8)  # of the solids
_WALL = 9.0  # its distance


def object_world(name: str) -> World:
    """A still life: a base, three large solids and some small ones with fine textures."""
    rng = _generator(name)
    colours = _palette(rng)
    base = Box(
        (0, 0, _TABLE - 0.07), (0.82, 0.82, 0.07), rng.uniform(0, 1.5), _material(rng, colours, "checker", (2.5, 3.5))
    )
    # Three large solids a third of a turn apart.
    angles = rng.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.2]) + rng.uniform(-0.25, 0.25, 3)
    one, two, three = 0.46 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    sizes = rng.uniform(0.26, 0.36, 3)
    tower = rng.uniform(1.2, 1.6) * sizes[1]
    large: list[Solid] = [
        Sphere((*one, _TABLE + sizes[0]), sizes[0], _material(rng, colours, "stripes", (2.5, 4), gloss=0.6)),
        Box(
            (*two, _TABLE + tower),
            (0.8 * sizes[1], 0.8 * sizes[1], tower),
            rng.uniform(0, 1.5),
            _material(rng, colours, "checker", (4, 6), gloss=0.2),
        ),
        Sphere((*three, _TABLE + sizes[2]), sizes[2], _material(rng, colours, "dots", (4, 6), gloss=0.5)),
        Sphere((*two, _TABLE + 2 * tower + 0.2), 0.2, _material(rng, colours, "plain", (1, 1), gloss=0.8)),
    ]
    small = [_bead(rng, colours, angle) for angle in rng.uniform(0, 2 * np.pi, 5)]
    return World((base, *large, *small))


def object_eyes(name: str, split: str, n: int) -> list[Eye]:
    """Eyes on the upper half of a sphere: at random, or for `test` once around at changing height."""
    rng = _generator(f"{name}/{split}")
    turn, height = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.05, 0.95, n)
    if split == "test":
        turn = 2 * np.pi * (np.arange(n) + 0.5) / n
        height = 0.5 + 0.2 * np.sin(2 * turn)
    across = _OBJECT_DISTANCE * np.sqrt(1 - height**2)
    places = np.stack([across * np.cos(turn), across * np.sin(turn), _OBJECT_DISTANCE * height], axis=1)
    return [Eye(_vector(place), (0.0, 0.0, 0.0), _UP, OBJECT_ANGLE) for place in places]


def stage_world(name: str) -> World:
    """A wall with a floor before it, and solids at several depths."""
    rng = _generator(name)
    colours = _palette(rng)
    wall = Box((0, _WALL + 0.5, 0), (12, 0.5, 12), 0, _material(rng, colours, "stripes", (0.35, 0.5)))
    floor = Box((0, 6, -2.2), (12, 8, 0.2), 0, _material(rng, colours, "checker", (0.8, 1.2)))
    solids: list[Solid] = [wall, floor]
    # A direction for each, so that the near ones do not hide the others.
    n = len(_STAGE_DEPTHS)
    directions = rng.permutation(np.linspace(-0.42, 0.42, n)) + rng.uniform(-0.03, 0.03, n)
    for index, (depth, direction) in enumerate(zip(_STAGE_DEPTHS, directions, strict=True)):
        x = direction * depth
        size = rng.uniform(0.09, 0.12) * depth
        if index % 2:
            material = _material(rng, colours, "checker", (2, 4), gloss=0.2)
            solids.append(Box((x, depth, -2 + 1.6 * size), (size, size, 1.6 * size), rng.uniform(0, 1.5), material))
        else:
            material = _material(rng, colours, ("stripes", "dots")[index // 2 % 2], (2, 3), gloss=0.6)
            solids.append(Sphere((x, depth, rng.uniform(-1.2, 0.9)), size, material))
    return World(tuple(solids), light=(0.36, -0.8, 0.48))


def stage_eyes(name: str, n: int) -> list[Eye]:
    """Eyes in a plane, on a spiral from the middle outwards in mixed order, each held a little differently."""
    rng = _generator(f"{name}/eyes")
    # Steps by the golden angle spread points evenly over a disc, whatever their number.
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    reach = _STAGE_SPREAD * np.sqrt((np.arange(n) + 0.5) / n)
    depth = rng.uniform(-0.1, 0.1, n)
    places = np.stack([reach * np.cos(turn), depth, reach * np.sin(turn)], axis=1)[rng.permutation(n)]
    targets = np.array([0, 6, -0.3]) + rng.uniform(-0.15, 0.15, (n, 3))
    rolls = rng.uniform(-0.03, 0.03, n)
    return [
        Eye(_vector(place), _vector(target), (float(np.sin(roll)), 0.0, float(np.cos(roll))), _STAGE_ANGLE)
        for place, target, roll in zip(places, targets, rolls, strict=True)
    ]


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng([_SEED, crc32(name.encode())])


def _palette(rng: np.random.Generator) -> np.ndarray:
    """(8, 3): saturated and pale colours of all hues."""
    hues = rng.uniform() + np.arange(8) / 8
    waves = 0.5 + 0.5 * np.cos(2 * np.pi * (hues[:, None] + np.array([0, 1 / 3, 2 / 3])))
    strength = np.where(np.arange(8) % 2, 0.9, 0.45)[:, None]
    return 0.08 + 0.87 * (1 - strength * waves)


def _material(
    rng: np.random.Generator, colours: np.ndarray, pattern: str, frequencies: tuple[float, float], gloss: float = 0.0
) -> Material:
    """Two colours of the palette, one of either kind."""
    strong, pale = 2 * rng.integers(4, size=2) + np.array([1, 0])
    return Material(_vector(colours[strong]), _vector(colours[pale]), pattern, float(rng.uniform(*frequencies)), gloss)


def _bead(rng: np.random.Generator, colours: np.ndarray, angle: float) -> Sphere:
    radius = rng.uniform(0.07, 0.12)
    place = (0.72 * np.cos(angle), 0.72 * np.sin(angle), _TABLE + radius)
    return Sphere(_vector(place), radius, _material(rng, colours, "plain", (1, 1), gloss=0.4))


def _vector(values: np.ndarray | tuple[float, ...]) -> Vector:
    x, y, z = map(float, values)
    return x, y, z
