"""Kill the encoding of a Criteo file in the middle, and see that nothing half-done is taken for done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed.criteo_encoding import digests, encode, start
from datasets.criteo.format import FIELDS
from datasets.criteo.preprocess import ROWS

_POLL = 0.005  # seconds
_ROW_BYTES = FIELDS * 4

Say = Callable[[str], None]
Moment = Callable[[Path], bool]  # of the draft's rows: whether to kill now


def kill_and_restart(text: Path, cache: Path, rows: int, expected: dict[str, str], say: Say) -> list[str]:
    """Kill with SIGKILL in the first pass, again in the second, then let it finish.

    expected: the digests of an undisturbed encoding. Returns what went wrong, a line each.
    """
    problems = []
    for name, moment in (("first", _half_written(rows)), ("second", _written_again(rows))):
        written = _kill_at(moment, text, cache)
        drafts, caches = _folders(cache)
        say(f"killed in the {name} pass, {written / 1e6:,.0f} MB written: {len(caches)} caches, {len(drafts)} draft")
        if caches or len(drafts) != 1:
            problems.append(f"after the kill in the {name} pass: caches {caches}, drafts {drafts}")
    encoding = encode(text, cache, rows)
    same = digests(cache) == expected
    drafts, _ = _folders(cache)
    say(f"restarted: {encoding}; the bytes of an undisturbed encoding: {same}; {len(drafts)} drafts left")
    if not same or drafts:
        problems.append(f"after the restart: same bytes {same}, drafts {drafts}")
    return problems


def _kill_at(moment: Moment, text: Path, cache: Path) -> int:
    """Start an encoding, kill it at the moment; returns the bytes it had written."""
    before, _ = _folders(cache)
    process = start(text, cache)
    try:
        while process.poll() is None:
            own = [draft / ROWS for draft in _folders(cache)[0] if draft not in before and (draft / ROWS).exists()]
            if own and moment(own[0]):
                break
            time.sleep(_POLL)
        else:
            raise ChildProcessError(f"the encoding ended with exit code {process.returncode} before it was killed")
    finally:
        process.kill()
        process.communicate()
    return own[0].stat().st_size


def _half_written(rows: int) -> Moment:
    return lambda path: path.stat().st_size > rows * _ROW_BYTES // 2


def _written_again(rows: int) -> Moment:
    """All rows are in the file, and it changes still: they are being replaced by indices."""
    complete: list[int] = []

    def moment(path: Path) -> bool:
        status = path.stat()
        if status.st_size > rows * _ROW_BYTES:
            complete.append(status.st_mtime_ns)
        return bool(complete) and status.st_mtime_ns != complete[0]

    return moment


def _folders(cache: Path) -> tuple[list[Path], list[Path]]:
    """Drafts and finished caches."""
    folders = [path for path in (cache / "criteo").glob("*") if path.is_dir()]
    drafts = [path for path in folders if path.name.startswith(".")]
    return drafts, [path for path in folders if path not in drafts]
