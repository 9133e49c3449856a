"""The history's file: JSON Lines, a landing each, the oldest first."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.history.landing import UNKNOWN, Landing, from_json, to_json
from benchmarks.records import write_atomically


def read(path: Path) -> list[Landing]:
    """All landings; none if there is no file.

    Raises:
        ValueError: a line is not a landing, or older than the one before; one line naming file and line.
    """
    if not path.exists():
        return []
    found: list[Landing] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not readable ({error}); restore it with git") from error
    for number, line in enumerate(lines, start=1):
        try:
            landing = from_json(json.loads(line))
            _check(landing, found)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"{path}:{number}: not a readable landing ({error}); mend or remove the line"
            raise ValueError(message) from error
        found.append(landing)
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
    numbers = [*(level.mean for level in landing.levels.values()), *landing.speed.values()]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is not finite")
    if before and landing.date < before[-1].date:
        raise ValueError(f"{landing.date or 'no date'} is before the last landing's {before[-1].date}")
