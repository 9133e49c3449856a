"""What lies in files: embeddings, renderings and text samples, beside the records or among the committed figures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import metrics
from benchmarks.records.cells import ResultCell
from benchmarks.records.record import Record
from benchmarks.report import pictures
from benchmarks.report.gather import SAMPLES, SHEET, Material, cell_order
from benchmarks.report.pictures import Picture
from benchmarks.tables.headline import profile_order

_EMBEDDING = "_embedding"
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
    """``figures/<profile>/<task>_embedding.png``."""
    for path in _figures(material):
        if _is_embedding(path):
            profile, task = _named(material, path.with_name(path.name.replace(_EMBEDDING, "")))
            cells = [one for one in material.cells if (one.key.profile, one.key.task) == (profile, task)]
            shipped = [one for one in cells if one.primary and not one.key.variant]
            caption = f"{task}: hidden layer in the plane · profile {profile}"
            yield pictures.of_file(path, caption, material.provenance.anchor(shipped), _EMBEDDINGS)


def renderings(material: Material) -> Iterator[Picture]:
    """Contact sheets beside the records, then raster figures that are not among them."""
    seen = set()
    for cell, record, path in _artefacts(material, SHEET):
        seen.add(_digest(path))
        metric = metrics.lookup(cell.key.metric)
        score = f"{metric.title} {metric.format(record.metrics[metric.name])} {metric.unit}".strip()
        yield pictures.of_file(path, f"{_about(record)} · {score}", material.provenance.anchor([cell]), _RENDERINGS)
    for path in _figures(material):
        if path.suffix != ".svg" and not _is_embedding(path) and _digest(path) not in seen:
            caption = f"{path.relative_to(material.results / 'figures').with_suffix('').as_posix()}, committed figure"
            yield pictures.of_file(path, caption, rank=_RENDERINGS)


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
    for path in _figures(material):
        name = path.relative_to(material.results / "figures").with_suffix("").as_posix()
        if path.suffix == ".svg" and name not in drawn:
            yield pictures.of_file(path, f"{name}, committed figure", rank=_OTHERS)


def _figures(material: Material) -> list[Path]:
    return sorted(material.figures, key=lambda path: (profile_order(_named(material, path)[0]), path))


def _named(material: Material, path: Path) -> tuple[str, str]:
    """The folder of a figure, a profile as a rule, and its name below that, a task."""
    profile, _, name = path.relative_to(material.results / "figures").with_suffix("").as_posix().partition("/")
    return profile, name


def _is_embedding(path: Path) -> bool:
    return path.stem.endswith(_EMBEDDING)


def _artefacts(material: Material, name: str) -> Iterator[tuple[ResultCell, Record, Path]]:
    """Of every task and method under the settings as shipped the first seed that left ``name`` here."""
    cells = [cell for cell in material.cells if cell.primary and not cell.key.variant]
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
