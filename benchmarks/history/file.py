"""The history's file: JSON Lines, a snapshot each, the oldest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.history.baseline_snapshot import UNKNOWN, BaselineSnapshot, from_json, to_json
from benchmarks.records import valid
from benchmarks.records.inputs import BadInput, OnBad, lines_of, read_bytes, refuse
from benchmarks.records.moments import moment_of
from benchmarks.records.record import write_atomically


def read(path: Path, on_bad: OnBad = refuse) -> list[BaselineSnapshot]:
    """All snapshots; none if there is no file.

    ``on_bad`` gets each line that is not a snapshot, or older than the one before.
    """
    if not path.exists():
        return []
    found: list[BaselineSnapshot] = []
    try:
        lines = lines_of(read_bytes(path, "restore it with git"))
    except ValueError as error:
        on_bad(error if isinstance(error, BadInput) else BadInput(path, error, "restore it with git"))
        return []
    for number, line in enumerate(lines, start=1):
        try:
            snapshot = from_json(valid.parse_object(line))
            _check(snapshot, found)
            found.append(snapshot)
        except ValueError as error:
            on_bad(BadInput(f"{path}:{number}", f"not a readable snapshot ({error})", "repair or remove the line"))
    return found


def write(path: Path, snapshots: Sequence[BaselineSnapshot]) -> None:
    """Replace the file."""
    texts = (json.dumps(to_json(snapshot), separators=(",", ":"), ensure_ascii=False) for snapshot in snapshots)
    write_atomically(path, "".join(f"{text}\n" for text in texts))


def with_snapshot(path: Path, snapshot: BaselineSnapshot) -> list[BaselineSnapshot]:
    """The snapshots of the file, and this one at the end.

    It replaces the last one if both were made by the same commit: of the baselines that were written on top of a
    commit only the last can have landed. So writing the same baseline again changes nothing.
    """
    before = read(path)
    if before and (snapshot == before[-1] or _commit(snapshot) == _commit(before[-1]) != UNKNOWN):
        before.pop()
    _check(snapshot, before)
    return [*before, snapshot]


def _commit(snapshot: BaselineSnapshot) -> str:
    return snapshot.commit.rstrip("+")


def _check(snapshot: BaselineSnapshot, before: Sequence[BaselineSnapshot]) -> None:
    if before and moment_of(snapshot.date) < moment_of(before[-1].date):
        raise ValueError(f"{snapshot.date or 'no date'} is before the last snapshot's {before[-1].date}")
