"""The tables that a sweep ends with, sent to Weights & Biases as one run ``tables/<profile>``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from omegaconf import DictConfig

from benchmarks.tables.table import Column, Role, Table
from benchmarks.tables.table_set import TableSet
from benchmarks.wandb_logging.connection import Connection

Typed = list[float | str | None]


def send_tables(every: TableSet, profile: str, logger: DictConfig) -> None:
    """Send each table of ``profile`` in full precision, with its title, data source and notes.

    Args:
        every: the tables of a results folder.
        profile: which of them; without any, nothing is sent.
        logger: the configuration's group: project and mode.
    """
    tables = every.of(profile)
    if not tables:
        return
    name = f"tables/{profile}"
    about = {t.name: {"title": t.title, "subtitle": t.subtitle, "notes": list(t.notes)} for t in tables}
    connection = Connection(
        name,
        logger,
        every.results.folder,
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

    run.log({t.name: wandb.Table(list(t.numbers_header), list[Iterable[Any]](typed_rows(t))) for t in tables})


def typed_rows(table: Table) -> list[Typed]:
    """Rows of a table's full-precision form: names as text, numbers as numbers, empty places as missing."""
    return [
        [_typed(text, column) for text, column in zip(row, table.number_columns, strict=True)] for row in table.numbers
    ]


def _typed(text: str, column: Column) -> float | str | None:
    if column.role is Role.LABEL:
        return text
    return float(text) if text else None
