"""Measured seconds of runs: a table that comes with the suite, for machines that have no records of their own.

python -m benchmarks.workers.measured results     # renew the table from the runs recorded there
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.records.inputs import LeftOut
from benchmarks.records.record import Record, write_atomically
from benchmarks.records.result_set import ResultSet
from benchmarks.terminal import guard
from benchmarks.terminal.arguments import Parser

_FILE = Path(__file__).with_name("measured_seconds.csv")
#: Measurements by profile, task and kind of data ("real", "stand-in"), and then by method.
Table = Mapping[tuple[str, str, str], Mapping[str, "Measurement"]]
_COLUMNS = ("profile", "task", "data", "method", "budget", "seconds")
_START = 0.3  # seconds to build a task and to write its record, which no record counts


@dataclass(frozen=True)
class Measurement:
    """Seconds of a whole run, and the training budget (epochs or steps) that it had; 0 where that is not known."""

    seconds: float
    budget: int

    @classmethod
    def of(cls, record: Record) -> Measurement:
        """The measurement that a record holds."""
        task = record.config.get("task")
        return cls(seconds_of(record), budget_of(task if isinstance(task, Mapping) else {}))

    def seconds_for(self, task: Mapping[str, Any]) -> float:
        """Seconds of a like run with the epochs or steps of ``task``."""
        wanted = budget_of(task)
        return self.seconds * wanted / self.budget if self.budget and wanted else self.seconds


def budget_of(task: Mapping[str, Any]) -> int:
    """The epochs that a task's settings ask for, or the steps."""
    return int(task.get("epochs") or task.get("steps") or 0)


def seconds_of(record: Record) -> float:
    """Seconds of a recorded run from its start to its record."""
    return _START + record.train_seconds + record.eval_seconds + record.alignment_seconds


@cache
def shipped() -> Table:
    """The table that comes with the suite."""
    found: dict[tuple[str, str, str], dict[str, Measurement]] = {}
    with _FILE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            measurement = Measurement(float(row["seconds"]), int(row["budget"]))
            found.setdefault((row["profile"], row["task"], row["data"]), {})[row["method"]] = measurement
    return found


def shipped_for(profile: str, task: str, data: str) -> Mapping[str, Measurement]:
    """The shipped measurements of a task by method: on data of this kind, else on the other; empty without any."""
    table = shipped()
    other = {"real": "stand-in", "stand-in": "real"}[data]
    return table.get((profile, task, data)) or table.get((profile, task, other)) or {}


def table_of(records: Iterable[Record], before: Table) -> str:
    """The table's text: medians over the seeds of all runs on the CPU that came to an end as shipped.

    Rows of ``before`` stay where no run was recorded.
    """
    rows = {(*place, method): found for place, methods in before.items() for method, found in methods.items()}
    rows |= _measurements(records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([*key, found.budget, f"{found.seconds:.1f}"] for key, found in sorted(rows.items()))
    return text.getvalue()


def _measurements(records: Iterable[Record]) -> dict[tuple[str, str, str, str], Measurement]:
    groups: dict[tuple[str, str, str, str], list[Measurement]] = {}
    for record in records:
        if record.status == "ok" and not record.variant and record.hardware.get("device") == "cpu":
            place = (record.profile, record.task, record.data.get("source", ""), record.method)
            groups.setdefault(place, []).append(Measurement.of(record))
    return {key: _median(found) for key, found in groups.items()}


def _median(found: list[Measurement]) -> Measurement:
    """The measurement with the largest budget; earlier settings may have had another."""
    budget = max(each.budget for each in found)
    return Measurement(median(each.seconds for each in found if each.budget == budget), budget)


@guard.command
def main(arguments: list[str] | None = None) -> int:
    """Write the table anew, from what is recorded and the rows that it has."""
    parser = Parser(prog="python -m benchmarks.workers.measured", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path, help="the results folder whose runs count, packed ones included")
    parser.add_argument("--out", type=Path, default=_FILE, help="the table to write")
    options = parser.parse_args(arguments)
    try:
        with LeftOut() as left_out:
            records = ResultSet.load(options.results, left_out.add).records
    except ValueError as error:
        guard.fail(error)
    if not records:
        guard.fail(f"{options.results}: no records; give a results folder in which runs are recorded")
    write_atomically(options.out, table_of(records, shipped()))
    sys.stdout.write(f"written: {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
