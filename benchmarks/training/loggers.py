"""Loggers: the history beside each record, a line now and then on the console, Weights & Biases if asked for."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

from omegaconf import DictConfig

from benchmarks.catalogue.discovery import architectures
from benchmarks.records.record import Record, write_atomically
from benchmarks.records.run_history import Row
from benchmarks.terminal.errors import naming

_SECONDS_BETWEEN_LINES = 2.0  # on the console


class RunLogger(Protocol):
    """Receives a run's rows as they come and its record at the end."""

    def start(self, record: Record, history: Sequence[Row]) -> None:
        """The run begins, or continues after the rows in ``history``."""

    def log(self, row: Row) -> None:
        """An evaluation took place."""

    def finish(self, record: Record | None) -> None:
        """The run is recorded, or was interrupted (``None``)."""


class Loggers:
    """Several loggers as one.

    One that cannot write (a closed pipe, a full disk) does not end the run amid an evaluation: that would lose the
    training since the last checkpoint. Its error waits in ``fault`` for whoever saves one.
    """

    def __init__(self, loggers: Sequence[RunLogger]) -> None:
        self._loggers = loggers
        self.fault: OSError | None = None

    def start(self, record: Record, history: Sequence[Row]) -> None:
        for logger in self._loggers:
            logger.start(record, history)

    def log(self, row: Row) -> None:
        for logger in self._loggers:
            try:
                logger.log(row)
            except OSError as error:
                self.fault = self.fault or error

    def finish(self, record: Record | None) -> None:
        """Finish all of them, also behind one that cannot write.

        Raises:
            OSError: one could not.
        """
        fault: OSError | None = None
        for logger in self._loggers:
            try:
                logger.finish(record)
            except OSError as error:
                fault = fault or error
        if fault is not None:
            raise fault


class CsvLogger:
    """The history, a row per evaluation, in ``<record>.csv``: a column for every key that any row has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Row] = []
        self._columns: list[str] = []

    def start(self, record: Record, history: Sequence[Row]) -> None:
        self._rows = list(history)
        self._columns = list(dict.fromkeys(key for row in history for key in row))
        self._rewrite()

    def log(self, row: Row) -> None:
        self._rows.append(row)
        if new := [key for key in row if key not in self._columns]:
            self._columns += new
            self._rewrite()
        else:
            with naming(self._path), self._path.open("a", newline="", encoding="utf-8") as file:
                self._write([row], file)

    def finish(self, record: Record | None) -> None:
        pass

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        if self._columns:
            csv.writer(text).writerow(self._columns)
        self._write(self._rows, text)
        write_atomically(self._path, text.getvalue())

    def _write(self, rows: Sequence[Row], file: TextIO) -> None:
        writer = csv.DictWriter(file, self._columns, restval="")
        writer.writerows({key: _in_digits(key, value) for key, value in row.items()} for row in rows)


def _in_digits(key: str, value: float) -> str:
    """Six significant digits, and all of those of a count."""
    return str(int(value)) if key in ("step", "epoch") else f"{value:.6g}"


class ConsoleLogger:
    """A line every two seconds at most."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def start(self, record: Record, history: Sequence[Row]) -> None:
        source = record.data["source"]
        again = f", continuing after step {history[-1]['step']:.0f}" if history else ""
        _say(f"{record.task}  {record.method}  seed {record.seed}  profile {record.profile}  data: {source}{again}")

    def log(self, row: Row) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            # One number a feedback point would fill the screen; the history has them.
            _say("  " + "  ".join(f"{key} {value:.4g}" for key, value in row.items() if "/" not in key))

    def finish(self, record: Record | None) -> None:
        if record is not None:
            known = architectures().get(record.architecture)
            tests = {name for name in (known.metrics if known else ()) if not name.startswith("valid_")}
            shown = {*tests, record.primary_metric, "alignment_cosine_mean"}
            scores = "".join(f"{k} {v:.4g}  " for k, v in record.metrics.items() if k in shown)
            why = f" ({record.reason})" if record.reason else ""
            _say(f"  {record.status}{why}: {scores}in {record.train_seconds:.1f} s of training")


def make_loggers(config: DictConfig, stem: Path, console: bool) -> Loggers:
    """The loggers that ``config`` asks for; ``stem`` is the record's path without suffix."""
    loggers: list[RunLogger] = [CsvLogger(stem.with_name(f"{stem.name}.csv"))]
    if console:
        loggers.append(ConsoleLogger())
    if config.logger.name == "wandb":
        from benchmarks.wandb_logging.logger import WandbLogger

        loggers.append(WandbLogger(config, stem))
    return Loggers(loggers)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
