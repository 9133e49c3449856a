"""A figure as a PNG: methods side by side, t-SNE above, PCA below, classes in colours and marks of their own.

Twice the pixels of its 700-pixel width, so that it is sharp on any screen. No metadata: the same vectors give the same
bytes under the same versions of the libraries.
"""

from __future__ import annotations

import io
from textwrap import fill
from typing import Any, cast

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from benchmarks.embeddings.project import PERPLEXITY, pca, tsne
from benchmarks.embeddings.recorded import METRICS, Column, Figure
from benchmarks.records import metrics
from benchmarks.tables.data_source import data_title

WIDTH = 7.3  # inches of 96 pixels: 700
_DPI = 192
_MOST_COLUMNS = 4  # more would be too small to see anything; the others stand below
_LONGEST = 128  # characters that fit into the width
_GREY = "#555555"
_STYLE = {"font.family": "DejaVu Sans", "font.size": 8, "text.color": "black", "axes.edgecolor": "#bbbbbb"}
#: Okabe and Ito's colours, told apart with any colour vision, without the yellow, which white drowns.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#D55E00")
_MARKS = ("o", "s", "^", "D", "X", "v", "P")


def png(figure: Figure) -> bytes:
    """``figure`` as a PNG file's content."""
    with matplotlib.style.context(["default", _STYLE]):
        canvas = _canvas(figure)
        file = io.BytesIO()
        canvas.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    picture = Image.open(file).convert("RGB").quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, "PNG", optimize=True)
    return small.getvalue()


def look(label: int) -> tuple[str, str]:
    """Colour and mark of a class; 49 classes differ. An eighth has the first's colour with another mark."""
    turn = label // len(_COLOURS)
    return _COLOURS[label % len(_COLOURS)], _MARKS[(label + turn) % len(_MARKS)]


def _canvas(figure: Figure) -> Canvas:
    bands = [figure.columns[start : start + _MOST_COLUMNS] for start in range(0, len(figure.columns), _MOST_COLUMNS)]
    columns = len(bands[0])
    side = (WIDTH - 0.3) / columns
    notes = "\n".join(fill(note, _LONGEST) for note in _notes(figure))
    head, foot = 0.55, 0.45 + 0.15 * (notes.count("\n") + 1)
    height = len(bands) * (2 * side + 0.6)
    total = head + height + foot
    canvas = Canvas(figsize=(WIDTH, total), layout="constrained")
    cast(ConstrainedLayoutEngine, canvas.get_layout_engine()).set(
        rect=(0, foot / total, 1, height / total), w_pad=0.03, h_pad=0.03
    )
    canvas.text(
        0.012, 1 - 0.1 / total, f"{figure.task}: the hidden layer of the test nodes", va="top", size=11, weight="bold"
    )
    canvas.text(0.012, 1 - 0.33 / total, _subtitle(figure), va="top", color=_GREY)
    canvas.text(0.012, 0.06 / total, notes, va="bottom", color=_GREY, linespacing=1.35)
    for band, shown in enumerate(bands):
        for place, column in enumerate(shown):
            upper = canvas.add_subplot(2 * len(bands), columns, 2 * band * columns + place + 1)
            lower = canvas.add_subplot(2 * len(bands), columns, (2 * band + 1) * columns + place + 1)
            _draw(upper, lower, figure.labels, column, columns)
            if not place:
                upper.set_ylabel("t-SNE")
                lower.set_ylabel("PCA")
    handles, names = canvas.axes[0].get_legend_handles_labels()
    at: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, (foot - 0.32) / total)}
    canvas.legend(handles, names, **at, ncols=7, frameon=False, markerscale=2, handletextpad=0.1, columnspacing=1.2)
    return canvas


def _draw(upper: Axes, lower: Axes, labels: np.ndarray, column: Column, columns: int) -> None:
    """One representation: its name and numbers, and the two pictures of it; one of ``columns`` in a row."""
    numbers = _numbers(column)
    upper.set_title(
        fill(column.title, 36 if columns < _MOST_COLUMNS else 22), size=9, weight="bold", pad=4 + 10 * len(numbers)
    )
    upper.text(0.5, 1.02, "\n".join(numbers), transform=upper.transAxes, ha="center", va="bottom", size=7.5)
    _scatter(upper, tsne(column.vectors), labels)
    places, share = pca(column.vectors)
    _scatter(lower, places, labels)
    lower.set_xlabel(f"{share:.0%} of the variance", size=7.5, color=_GREY)


def _scatter(axes: Axes, places: np.ndarray, labels: np.ndarray) -> None:
    for label in np.unique(labels):
        here = places[labels == label]
        colour, mark = look(int(label))
        axes.scatter(
            here[:, 0], here[:, 1], s=6, linewidths=0, alpha=0.85, label=f"class {label}", color=colour, marker=mark
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)


def _numbers(column: Column) -> list[str]:
    """A line per metric: of the vectors shown, and in brackets over the seeds."""
    lines = []
    for name, words in zip(METRICS, ("silhouette", "1-NN"), strict=True):
        if name in column.numbers:
            metric, cell = metrics.lookup(name), column.cells.get(name)
            text = f"{words} {metric.format(column.numbers[name])}{metric.unit}"
            if cell is not None and cell.n > 1:
                text += f" ({metric.format(cell.mean)} ± {metric.format(cell.std)})"
            lines.append(text)
    return lines


def _subtitle(figure: Figure) -> str:
    nodes, width = figure.columns[0].vectors.shape
    parts = [f"profile {figure.profile}", data_title(figure.source), f"seed {figure.seed}", f"{nodes} test nodes"]
    return " · ".join([*parts, f"layer: topmost feedback point, {width} units"])


def _notes(figure: Figure) -> list[str]:
    seeds = sorted({cell.n for column in figure.columns for cell in column.cells.values()} - {1})
    spread = f" In brackets: mean ± std over {'/'.join(map(str, seeds))} seeds." if seeds else ""
    return [
        "Silhouette of the classes and 1-nearest-neighbour accuracy (leave-one-out) are of the vectors, not of the "
        f"pictures.{spread}",
        *figure.notes,
        f"t-SNE: perplexity {PERPLEXITY}, started from PCA; it keeps neighbourhoods, not distances.",
    ]
