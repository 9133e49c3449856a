"""The tables that a sweep ends with, sent to Weights & Biases as one run ``tables/<profile>``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.records.cells import aggregate
from benchmarks.records.inputs import unsaid
from benchmarks.records.packs import gather
from benchmarks.tables import tables_of
from benchmarks.tables.text import Table
from benchmarks.wandb_logging.connection import Connection

Typed = list[float | str | None]


def send_tables(results: Path, profile: str, logger: DictConfig) -> None:
    """Send each table of ``profile`` in full precision, with its title, data source and notes.

    Args:
        results: the folder whose records and packs the tables are made of.
        profile: which tables; without any, nothing is sent.
        logger: the configuration's group: project and mode.
    """
    tables = tables_of(aggregate(gather(results, unsaid), unsaid), profile)
    if not tables:
        return
    name = f"tables/{profile}"
    about = {t.name: {"title": t.title, "subtitle": t.subtitle, "notes": list(t.notes)} for t in tables}
    connection = Connection(
        name,
        logger,
        results,
        name=name,
        group="tables",
        job_type="tables",
        tags=[profile],
        config={"profile": profile, "tables": about},
    )
    connection.send(lambda run: _log(run, tables))
    connection.close(ok=True)


def _log(run: Any, tables: Sequence[Table]) -> None:
    import wandb

    run.log({t.name: wandb.Table(list(t.numbers_header), typed_rows(t)) for t in tables})


def typed_rows(table: Table) -> list[Typed]:
    """Rows of a table's full-precision form: numbers as numbers, empty places as missing."""
    columns = [_typed(column) for column in zip(*table.numbers, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def _typed(column: Sequence[str]) -> Typed:
    """A column of numbers and empty places as such; any other as text."""
    try:
        return [float(text) if text else None for text in column]
    except ValueError:
        return list(column)
