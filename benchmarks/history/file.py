"""The history's file: JSON Lines, a landing each, the oldest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.history.landing import UNKNOWN, Landing, from_json, to_json
from benchmarks.records import valid
from benchmarks.records.inputs import BadInput, OnBad, lines_of, read_bytes, refuse
from benchmarks.records.record import write_atomically


def read(path: Path, on_bad: OnBad = refuse) -> list[Landing]:
    """All landings; none if there is no file.

    ``on_bad`` gets each line that is not a landing, or older than the one before.
    """
    if not path.exists():
        return []
    found: list[Landing] = []
    try:
        lines = lines_of(read_bytes(path, "restore it with git"))
    except BadInput as error:
        on_bad(error)
        return []
    for number, line in enumerate(lines, start=1):
        try:
            landing = from_json(valid.parse_object(line))
            _check(landing, found)
            found.append(landing)
        except ValueError as error:
            on_bad(BadInput(f"{path}:{number}", f"not a readable landing ({error})", "repair or remove the line"))
    return found


def write(path: Path, landings: Sequence[Landing]) -> None:
    """Replace the file."""
    texts = (json.dumps(to_json(landing), separators=(",", ":"), ensure_ascii=False) for landing in landings)
    write_atomically(path, "".join(f"{text}\n" for text in texts))


def append(path: Path, landing: Landing) -> None:
    """Add a landing at the end.

    It replaces the last one if both were made by the same commit: of the baselines that were written on top of a
    commit only the last can have landed. So writing the same baseline again changes nothing.
    """
    before = read(path)
    if before and (landing == before[-1] or _commit(landing) == _commit(before[-1]) != UNKNOWN):
        before.pop()
    _check(landing, before)
    write(path, [*before, landing])


def _commit(landing: Landing) -> str:
    return landing.commit.rstrip("+")


def _check(landing: Landing, before: Sequence[Landing]) -> None:
    if before and landing.date < before[-1].date:
        raise ValueError(f"{landing.date or 'no date'} is before the last landing's {before[-1].date}")
