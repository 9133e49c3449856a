"""Loggers: the history beside each record, a line now and then on the console, Weights & Biases if asked for."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf

from benchmarks.records import Record

Row = dict[str, float]


class RunLogger(Protocol):
    """Receives a run's rows as they come and its record at the end."""

    def start(self, record: Record, history: Sequence[Row]) -> None:
        """The run begins, or continues after the rows in ``history``."""

    def log(self, row: Row) -> None:
        """An evaluation took place."""

    def finish(self, record: Record | None) -> None:
        """The run is recorded, or was interrupted (``None``)."""


class Loggers:
    """Several loggers as one."""

    def __init__(self, loggers: Sequence[RunLogger]) -> None:
        self._loggers = loggers

    def start(self, record: Record, history: Sequence[Row]) -> None:
        for logger in self._loggers:
            logger.start(record, history)

    def log(self, row: Row) -> None:
        for logger in self._loggers:
            logger.log(row)

    def finish(self, record: Record | None) -> None:
        for logger in self._loggers:
            logger.finish(record)


class CsvLogger:
    """The history, a row per evaluation, in ``<record>.csv``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._writer: csv.DictWriter[str] | None = None

    def start(self, record: Record, history: Sequence[Row]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w", newline="")
        for row in history:
            self.log(row)

    def log(self, row: Row) -> None:
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(row), restval="", extrasaction="ignore")
            self._writer.writeheader()
        self._writer.writerow({key: f"{value:.6g}" for key, value in row.items()})

    def finish(self, record: Record | None) -> None:
        self._file.close()


class ConsoleLogger:
    """A line every few seconds."""

    def __init__(self, every_seconds: float = 2.0) -> None:
        self._every = every_seconds
        self._last = time.monotonic()

    def start(self, record: Record, history: Sequence[Row]) -> None:
        source = record.data["source"]
        again = f", continuing after step {history[-1]['step']:.0f}" if history else ""
        _say(
            f"{record.task}  {record.method}  seed {record.seed}  profile {record.profile}  data: {source}{again}"
        )

    def log(self, row: Row) -> None:
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            _say("  " + "  ".join(f"{key} {value:.4g}" for key, value in row.items()))

    def finish(self, record: Record | None) -> None:
        if record is not None:
            shown = {"accuracy", "auc", "average_precision", record.primary_metric, "alignment_cosine_mean"}
            metrics = "  ".join(f"{k} {v:.4g}" for k, v in record.metrics.items() if k in shown)
            _say(f"  {record.status}: {metrics}  in {record.train_seconds:.1f} s of training")


class WandbLogger:
    """Weights & Biases: settings, every row, the final metrics; runs grouped by task and method."""

    def __init__(self, config: DictConfig) -> None:
        self._config = config
        self._run: Any = None

    def start(self, record: Record, history: Sequence[Row]) -> None:
        import wandb

        folder = Path(self._config.results) / "work"
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self._config.logger.project,
            mode=self._config.logger.mode,
            dir=str(folder),
            group=f"{record.task}/{record.method}",
            name=f"{record.task}/{record.method}/seed{record.seed}",
            job_type=record.method,
            tags=[record.profile, record.data["source"]],
            config={**OmegaConf.to_container(self._config, resolve=True), "config_hash": record.config_hash},
            reinit="finish_previous",
            settings=wandb.Settings(silent=True),
        )
        for row in history:
            self.log(row)

    def log(self, row: Row) -> None:
        self._run.log(row, step=int(row["step"]))

    def finish(self, record: Record | None) -> None:
        if record is not None:
            self._run.summary.update({**record.metrics, "status": record.status})
        self._run.finish(exit_code=0 if record is not None else 1)


def make_loggers(config: DictConfig, stem: Path, console: bool) -> Loggers:
    """The loggers that ``config`` asks for; ``stem`` is the record's path without suffix."""
    loggers: list[RunLogger] = [CsvLogger(stem.with_name(f"{stem.name}.csv"))]
    if console:
        loggers.append(ConsoleLogger())
    if config.logger.name == "wandb":
        loggers.append(WandbLogger(config))
    elif config.logger.name != "none":
        raise ValueError(f"logger.name='{config.logger.name}': choose none or wandb")
    return Loggers(loggers)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
