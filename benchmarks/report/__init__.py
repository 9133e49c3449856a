"""One self-contained HTML report of a results folder.

    python -m benchmarks.report                                  results/report.html and figures/headline.svg
    python -m benchmarks.report --profile paper --out paper.html

It shows what `benchmarks.tables` and `benchmarks.curves` make of records, evidence packs and histories, with the
artefacts beside the records and the pictures in ``results/figures``. The same inputs give the same bytes. The file
opens from disk, runs no code but its own (sorting, opening what a link points to), and loads nothing.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.records import paths
from benchmarks.records.inputs import OnBad, refuse
from benchmarks.records.record import write_atomically
from benchmarks.records.result_set import ResultSet
from benchmarks.report.forest import svg
from benchmarks.report.gather import gather_material
from benchmarks.report.headline import FILE, headline_figure
from benchmarks.report.page import MAX_BYTES, html
from benchmarks.report.sections import sections_of
from benchmarks.terminal.names import inside

__all__ = ["MAX_BYTES", "write"]


def write(results: Path, out: Path | None = None, profile: str = "", on_bad: OnBad = refuse) -> list[Path]:
    """Write the report of ``results``; returns the files written.

    Args:
        out: where to; by default ``report.html`` in ``results``, and then the headline goes into ``figures/`` too,
            for the README to show.
        profile: only this one ("" for all but smoke, unless there is no other).
        on_bad: gets what cannot be read.

    Raises:
        ValueError: no records, or what is there does not fit; one line. Nothing is written then.
    """
    material = gather_material(ResultSet.load(results, on_bad), profile)
    texts = {out or inside(results, paths.report(results)): html(material, sections_of(material))}
    figure = headline_figure(material.tables.picks, material.provenance)
    if out is None and not profile and figure:
        texts[inside(results, paths.figures(results) / FILE)] = svg(figure, linked=False)
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)
