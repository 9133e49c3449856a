"""Heat map of the matrix: a line for each method, a tile for each architecture, the gap closed as number and colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.catalogue.methods import entry_behind
from benchmarks.catalogue.names import title
from benchmarks.report.provenance import Provenance
from benchmarks.report.templates import environment
from benchmarks.tables.data_source import REAL
from benchmarks.tables.matrix import NOT_TRIED, Place, columns

FILE = "matrix.svg"
LEFT, TOP, CELL_WIDTH, CELL_HEIGHT = 150, 120, 62, 26
_NOTHING, _DARK, _LIGHT = "#f2f2f2", "#1a1a1a", "#ffffff"
#: Colours of gaps: of what is worse than shallow, of nothing, and of backprop.
_WORSE, _NONE, _ALL = (178, 24, 43), (247, 247, 247), (33, 102, 172)


@dataclass(frozen=True)
class Tile:
    """One place: its text, its colours, what a pointer over it is told, and the anchor of the records behind it."""

    text: str
    colour: str
    ink: str
    spoken: str
    anchor: str = ""
    dashed: bool = False  # stand-in data


@dataclass(frozen=True)
class HeatLine:
    """A method and its tiles."""

    label: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Heat:
    """A whole heat map."""

    title: str
    description: str
    legend: str
    columns: tuple[str, ...]
    lines: tuple[HeatLine, ...]


def heat_map(matrix: Sequence[Sequence[Place]], provenance: Provenance) -> Heat | None:
    """The heat map of the methods that ran anywhere; None if none did."""
    lines = [
        HeatLine(entry_behind(line[0].method).title or line[0].method, tuple(_tile(p, provenance) for p in line))
        for line in matrix
        if any(place.row for place in line)
    ]
    if not lines:
        return None
    return Heat(
        title="Gap closed by every method on every architecture (%)",
        description=". ".join(f"{line.label}: {', '.join(tile.text for tile in line.tiles)}" for line in lines),
        legend="0 shallow (white), 100 backprop (blue), below 0 red; dashed: stand-in data; –: the table says why",
        columns=tuple(map(title, columns())),
        lines=tuple(lines),
    )


def svg(heat: Heat, linked: bool) -> str:
    """``heat`` as an SVG element; ``linked`` makes the tiles links into the page that holds it."""
    return (
        environment()
        .get_template("heat.svg")
        .render(
            heat=heat,
            linked=linked,
            left=LEFT,
            top=TOP,
            cell_width=CELL_WIDTH,
            cell_height=CELL_HEIGHT,
            width=LEFT + CELL_WIDTH * len(heat.columns) + 70,
            height=TOP + CELL_HEIGHT * len(heat.lines) + 12,
        )
    )


def _tile(place: Place, provenance: Provenance) -> Tile:
    where = f"{title(place.architecture)}, {place.method}"
    if place.closed is None:
        return Tile("" if place.reason == NOT_TRIED else "–", _NOTHING, _DARK, f"{where}: {place.reason}")
    row = place.row
    assert row is not None
    colour, dark = _colour(place.closed)
    spoken = f"{where}: {place.text} ({place.source}, {place.profile})"
    text = f"{100 * place.closed:.0f}".replace("-", "−")
    anchor = provenance.anchor(row.bp + row.method + row.shallow)
    return Tile(text, colour, _LIGHT if dark else _DARK, spoken, anchor, dashed=place.source != REAL)


def _colour(closed: float) -> tuple[str, bool]:
    """The colour of a gap, and whether it is so dark that text on it must be light."""
    share = min(abs(closed), 1.0)
    end = _ALL if closed >= 0 else _WORSE
    mixed = [round(a + (b - a) * share) for a, b in zip(_NONE, end, strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed), share > 0.6
