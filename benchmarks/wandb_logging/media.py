"""Tables, pictures and texts in the forms that Weights & Biases shows."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from benchmarks.records.record import QUANTILES, Record, artefact_path

PICTURES, TEXTS = (".png", ".jpg"), (".txt",)


def media_of(record: Record, stem: Path) -> dict[str, Any]:
    """The record's alignment as tables, and the pictures and texts among its artefacts (``stem``: its path).

    Weights and other files stay where they are.
    """
    import wandb

    media: dict[str, Any] = {}
    for section in ("points", "parameters"):
        if entries := record.alignment.get(section):
            media[f"alignment/{section}"] = _alignment_table(section.rstrip("s"), cast(Mapping[str, Any], entries))
    for name in record.artefacts:
        key, path = f"artefacts/{name.replace('.', '_')}", artefact_path(stem, name)  # wandb takes dots for nesting
        if path.suffix in PICTURES:
            media[key] = wandb.Image(str(path))
        elif path.suffix in TEXTS:  # a model may have written it: never markup
            media[key] = wandb.Html(f"<pre>{html.escape(path.read_text(encoding='utf-8'))}</pre>", inject=False)
    return media


def _alignment_table(what: str, entries: Mapping[str, Any]) -> Any:
    """A `wandb.Table`, a row for each feedback point or parameter; columns are the statistics that any of them has."""
    import wandb

    rows = {name: dict(_flat(entry)) for name, entry in entries.items()}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return wandb.Table([what, *columns], [[name, *map(row.get, columns)] for name, row in rows.items()])


def _flat(entry: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Names and values of one entry: ``mean``, ``quantile_5``, ``weights/mean``; ``cosine`` for a bare number."""
    if not isinstance(entry, Mapping):
        yield prefix or "cosine", entry
        return
    for name, value in entry.items():
        if name == "quantiles":
            for probability, quantile in zip(QUANTILES, value, strict=True):
                yield f"{prefix}quantile_{100 * probability:g}", quantile
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value
