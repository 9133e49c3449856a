"""A run's rows, numbers, tables, pictures and texts, sent to Weights & Biases."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.records import paths
from benchmarks.records.record import Record, write_atomically
from benchmarks.records.run_history import Row
from benchmarks.wandb_logging.connection import Connection
from benchmarks.wandb_logging.media import media_of
from benchmarks.wandb_logging.numbers import numbers_of, settings_of


class WandbLogger:
    """Sends what the record and its history hold; runs are grouped by task and method.

    A run that continues from a checkpoint continues the same wandb run. Its rows are sent from the first on: an
    online run skips those it has, and of several offline files the last, which `wandb sync` lets win, is complete.

    Args:
        config: the run's configuration.
        stem: the record's path without suffix; its artefacts lie there when the run finishes.
    """

    def __init__(self, config: DictConfig, stem: Path) -> None:
        self._config, self._stem = config, stem

    def start(self, record: Record, history: Sequence[Row]) -> None:
        results = Path(self._config.results)
        self._identity = paths.work(results) / "wandb_ids" / f"{record.run_id}.txt"
        self._connection = Connection(
            record.run_id,
            self._config.logger,
            results,
            id=self._wandb_id(record, continued=bool(history)),
            resume="allow",
            group=f"{record.task}/{record.method}",
            name=f"{record.task}/{record.method}/seed{record.seed}",
            job_type=record.method,
            tags=[record.profile, record.data["source"]],
            config=settings_of(self._config, record),
        )
        for row in history:
            self.log(row)

    def log(self, row: Row) -> None:
        self._connection.send(lambda run: _log_row(run, row))

    def finish(self, record: Record | None) -> None:
        if record is not None:
            self._connection.send(lambda run: _log_result(run, record, self._stem))
            self._identity.unlink(missing_ok=True)
        self._connection.close(ok=record is not None)

    def _wandb_id(self, record: Record, continued: bool) -> str:
        """The id of the run that left the checkpoint, else a new one: a repeated run must not mix with the former."""
        if not continued or not self._identity.exists():
            write_atomically(self._identity, f"{record.config_hash}-seed{record.seed}-{secrets.token_hex(4)}")
        return self._identity.read_text(encoding="utf-8")


def _log_row(run: Any, row: Row) -> None:
    if (step := int(row["step"])) >= run.starting_step:
        run.log(row, step=step, commit=True)  # not held back until after the final numbers


def _log_result(run: Any, record: Record, stem: Path) -> None:
    """Numbers first: a picture that cannot be read must not cost them."""
    run.summary.update(numbers_of(record))
    if media := media_of(record, stem):
        run.log(media)
