"""Histories: a run's evaluations, a row each, as its CSV or an evidence pack holds them.

The CSV lies beside the record (``results/records/<run id>.csv``): ``step``, ``epoch``, ``train_loss``, ``lr``,
``valid_…``, ``train_seconds``, and in the rows in which alignment was measured ``alignment_cosine_mean/<point>`` and
more of that family (`benchmarks.training.alignment`), feedback points from the input upwards. What a row does not have
is empty there, ``null`` in a pack, NaN here.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from benchmarks.records import valid
from benchmarks.records.inputs import BadInput, OnBad, read_bytes, refuse
from benchmarks.records.record import Record, write_atomically
from benchmarks.terminal.names import shown

Row = dict[str, float]

#: Beginnings of the columns and metrics of alignment, at the activations and at the weights.
ALIGNMENT, WEIGHT_ALIGNMENT = "alignment_cosine", "weight_alignment_cosine"
_MEAN = f"{ALIGNMENT}_mean/"
#: Columns that count: exact in a pack, whatever their size.
_COUNTS = ("step", "epoch")
_DIGITS = 5  # significant, of all other columns in a pack
#: Columns in whose order rows were written; a curve is drawn over one of them.
_RISING = ("step", "train_seconds")
_MOST = 1e15  # of a step or a second
_FIX_HINT = "move it away and run the task again"


@dataclass(frozen=True, eq=False)
class History:
    """One run's history. ``values`` is (rows, columns) in float64, NaN where a row has no such value."""

    columns: tuple[str, ...]
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> np.ndarray:
        """The column ``name``, (rows,); all NaN if there is none."""
        if name not in self.columns:
            return np.full(len(self), np.nan)
        return self.values[:, self.columns.index(name)]

    @property
    def points(self) -> tuple[str, ...]:
        """The feedback points whose alignment was measured, from the input upwards."""
        return tuple(name.removeprefix(_MEAN) for name in self.columns if name.startswith(_MEAN))


def read_history(path: Path) -> History:
    """Read one history file; an empty file is a history without rows.

    Raises:
        BadInput: not a history; one line naming the file.
    """
    content = read_bytes(path, _FIX_HINT)
    try:
        header, *rows = list(csv.reader(io.StringIO(content.decode(), newline=""))) or [[]]
        return _history(header, [_numbers(row, line) for line, row in enumerate(rows, start=2)])
    except (ValueError, csv.Error) as error:
        raise BadInput(path, f"not a readable history ({error})", _FIX_HINT) from error


def local_histories(records: Iterable[Record], folder: Path, on_bad: OnBad = refuse) -> dict[str, History]:
    """The histories that lie beside ``records`` in the records folder, by run; runs without one are left out.

    ``on_bad`` gets each that is not readable.
    """
    found: dict[str, History] = {}
    for record in records:
        path = folder / f"{record.run_id}.csv"
        try:
            if path.exists() and len(history := read_history(path)):
                found[record.run_id] = history
        except BadInput as error:
            on_bad(error)
    return found


def write_history(history: History, path: Path) -> None:
    """Write ``history`` as a CSV, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(history.columns)
    writer.writerows(["" if math.isnan(value) else f"{value:.12g}" for value in row] for row in history.values)
    write_atomically(path, text.getvalue())


def to_json(history: History) -> dict[str, Any]:
    """The compact form of a pack; what is not finite becomes ``null``, since JSON has no such numbers."""
    rows = [[_rounded(*pair) for pair in zip(history.columns, row, strict=True)] for row in history.values.tolist()]
    return {"columns": list(history.columns), "rows": rows}


@dataclass(frozen=True)
class _Packed:
    """The JSON object that `to_json` gives."""

    __pydantic_config__ = valid.CLOSED

    columns: list[valid.Text]
    rows: list[list[valid.Number | None]]


@cache
def _adapter() -> TypeAdapter[_Packed]:
    return TypeAdapter(_Packed)


def from_json(content: Any) -> History:
    """The history that `to_json` made compact.

    Raises:
        ValueError: not of that form; half a line.
    """
    try:
        packed = valid.validated(_adapter(), content)
        return _history(packed.columns, [[math.nan if one is None else one for one in row] for row in packed.rows])
    except ValueError as error:
        raise ValueError(f"history: {error}") from error


def is_whole(history: History, record: Record) -> bool:
    """Whether ``history`` has a row for each evaluation of the run; one that went through a pack may have fewer.

    The record knows how often the run was evaluated: every so many epochs, or steps, and at its end. A record that does
    not say so, such as a user's own, is believed.
    """
    task = record.config.get("task", {})
    every, unit = task.get("eval_every"), "epochs" if task.get("steps") is None else "steps"
    done = record.budget.get(unit)
    if done is None or not isinstance(every, int) or every < 1:
        return True
    return len(history) >= math.ceil(done / every)


def thin(history: History, most: int) -> History:
    """At most ``most`` rows: the first, the last, then rows with alignment, then others, each evenly spread.

    Raises:
        ValueError: ``most`` is below 2.
    """
    if most < 2:
        raise ValueError(f"a history of {most} rows: must be 2 or more, for its first and its last row")
    if len(history) <= most:
        return history
    aligned = [name.startswith(_MEAN) for name in history.columns]
    measured = np.isfinite(history.values[:, aligned]).any(axis=1)
    inner = range(1, len(history) - 1)
    kept = spread([row for row in inner if measured[row]], most - 2)
    kept += spread(sorted(set(inner) - set(kept)), most - 2 - len(kept))
    return History(history.columns, history.values[[0, *sorted(kept), len(history) - 1]])


def spread(rows: Sequence[int], most: int) -> list[int]:
    """``rows``, or ``most`` of them at even distances."""
    if len(rows) <= most:
        return list(rows)
    return [rows[int((place + 0.5) * len(rows) / most)] for place in range(most)]


def _rounded(name: str, value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = value if name in _COUNTS else float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() else short  # 30 is shorter than 30.0


def _numbers(row: Sequence[str], line: int) -> list[float]:
    try:
        return [float(text) if text else math.nan for text in row]
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from error


def _history(columns: Sequence[str], rows: Sequence[Sequence[float]]) -> History:
    """Rows of numbers as a history, if they are one."""
    if bad := [name for name in columns if not name or not name.isprintable()]:
        raise ValueError(f"{shown(bad[0])} is no name of a column")
    if len(set(columns)) < len(columns):
        raise ValueError(f"column {shown(Counter(columns).most_common(1)[0][0])} is there twice")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} values for {len(columns)} columns")
    history = History(tuple(columns), np.array(rows, dtype=float).reshape(len(rows), len(columns)))
    for name in _RISING:
        values = history.column(name)
        if name not in columns and name != "step":
            continue
        if not np.isfinite(values).all() or (np.diff(values, prepend=0.0) < 0).any() or (values > _MOST).any():
            raise ValueError(f"column {name} is missing, incomplete or not in order")
    return history
