"""Files in the report: embeddings, renderings and text samples, beside the records or among the figures."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from benchmarks.embeddings import figure_name
from benchmarks.records import metrics
from benchmarks.records.cells import ResultCell
from benchmarks.records.record import Record
from benchmarks.report import pictures
from benchmarks.report.gather import SAMPLES, SHEET, Material, cell_order
from benchmarks.report.pictures import Picture
from benchmarks.tables.headline import profile_order

_LONGEST = 6000  # characters of a sample
_EMBEDDINGS, _RENDERINGS, _OTHERS = 0, 1, 5  # ranks of pictures


@dataclass(frozen=True)
class Sample:
    """Text that a model wrote."""

    title: str
    text: str
    anchor: str
    kind: str = "sample"


def embeddings(material: Material) -> Iterator[Picture]:
    """The drawings of `benchmarks.embeddings`, of every task that has one."""
    for name, cells in _embedded(material).items():
        key = cells[0].key
        caption = f"{key.task}: hidden layer in the plane · profile {key.profile}"
        yield pictures.of_file(material.figures[name], caption, material.provenance.anchor(cells), _EMBEDDINGS)


def _embedded(material: Material) -> dict[str, list[ResultCell]]:
    """The names of these drawings, each with its task's cells under the settings as shipped."""
    found: dict[str, list[ResultCell]] = defaultdict(list)
    for cell in sorted(material.results.cells, key=lambda cell: (profile_order(cell.key.profile), cell.key)):
        name = f"{figure_name(cell.key.profile, cell.key.task, cell.key.data_source)}.png"
        if cell.primary and not cell.key.variant and name in material.figures:
            found[name].append(cell)
    return found


def renderings(material: Material) -> Iterator[Picture]:
    """Contact sheets beside the records, then raster figures that are not among them."""
    seen = set()
    for cell, record, path in _artefacts(material, SHEET):
        seen.add(_digest(path))
        metric = metrics.lookup(cell.key.metric)
        score = f"{metric.title} {metric.format(record.metrics[metric.name])} {metric.unit}".strip()
        yield pictures.of_file(path, f"{_about(record)} · {score}", material.provenance.anchor([cell]), _RENDERINGS)
    embedded = _embedded(material)
    for name, path in _figures(material):
        if path.suffix != ".svg" and name not in embedded and _digest(path) not in seen:
            yield pictures.of_file(path, f"{_stem(name)}, committed figure", rank=_RENDERINGS)


def samples(material: Material) -> Iterator[Sample]:
    """Text samples beside the records.

    Raises:
        ValueError: a sample is not text; one line naming the file.
    """
    for cell, record, path in _artefacts(material, SAMPLES):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ValueError(f"{path}: not readable ({error.strerror}); move it away") from error
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text) - _LONGEST} more characters)"
        yield Sample(_about(record), shown, material.provenance.anchor([cell]))


def other_figures(material: Material, drawn: set[str]) -> Iterator[Picture]:
    """Committed drawings but those that the report draws itself, named in ``drawn``."""
    for name, path in _figures(material):
        if path.suffix == ".svg" and _stem(name) not in drawn:
            yield pictures.of_file(path, f"{_stem(name)}, committed figure", rank=_OTHERS)


def _figures(material: Material) -> list[tuple[str, Path]]:
    """Name and file; the folders of the best profiles first."""
    return sorted(material.figures.items(), key=lambda one: (profile_order(PurePath(one[0]).parts[0]), one[1]))


def _stem(name: str) -> str:
    return PurePath(name).with_suffix("").as_posix()


def _artefacts(material: Material, name: str) -> Iterator[tuple[ResultCell, Record, Path]]:
    """The first seed that left ``name`` here, of every task and method under the settings as shipped."""
    cells = [cell for cell in material.results.cells if cell.primary and not cell.key.variant]
    for cell in sorted(cells, key=cell_order):
        found = ((record, material.artefact(record, name)) for record in material.provenance.runs(cell))
        record, path = next(((record, path) for record, path in found if path), (None, None))
        if record and path:
            yield cell, record, path


def _about(record: Record) -> str:
    standin = "" if record.data.get("source") == "real" else f" · {record.data.get('source', 'unknown').upper()} DATA"
    return f"{record.task} · {record.method} · seed {record.seed} · profile {record.profile}{standin}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
