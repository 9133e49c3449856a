"""Judging two sets of cells against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.compare.changes import (
    ADDED,
    BETTER,
    MISSING,
    NEWLY_FAILED,
    NOT_JUDGED,
    RUNS_MISSING,
    WITHIN,
    WORSE,
    Change,
    Comparison,
)
from benchmarks.records import metrics
from benchmarks.records.cells import CellKey, ResultCell
from benchmarks.statistics.noise import Difference, Pair, Rules, difference, goes_by_seed, typical_noise

#: A training time may grow by this factor before a warning.
SLOWER = 1.25


def compare(
    before: Iterable[ResultCell],
    after: Iterable[ResultCell],
    rules: Rules | None = None,
    seeds: Sequence[int] | None = None,
) -> Comparison:
    """Judge every cell that either side has.

    ``seeds`` are those that every cell of ``after`` was meant to be run with; not given, as many as ``before`` has.
    """
    rules = rules or Rules()
    left, right = _by_key(before), _by_key(after)
    pairs = _pairs(left, right)
    judged = [pair for pair in pairs if metrics.lookup(pair.before.key.metric).sign]
    noise = typical_noise(judged)
    found = {pair.before.key: difference(pair, noise, rules, len(judged)) for pair in pairs}
    keys = sorted(key for key in left.keys() | right.keys() if not _follows(key, left, right))
    changes = [_judge(key, left.get(key), right.get(key), found.get(key), seeds) for key in keys]
    return Comparison(changes, [*speed_warnings(left.values(), right.values()), *_extra_seeds(pairs, rules)])


def _follows(key: CellKey, left: dict[CellKey, ResultCell], right: dict[CellKey, ResultCell]) -> bool:
    """Whether a secondary metric is one-sided only because its whole run is: the primary metric says so."""
    if key in left and key in right:
        return False
    here, other = (left, right) if key in left else (right, left)
    primary = next((k for k, cell in here.items() if cell.primary and k[:3] == key[:3] and k[4:] == key[4:]), key)
    return primary != key and (primary not in other or not other[primary].n)


def _judge(
    key: CellKey,
    before: ResultCell | None,
    after: ResultCell | None,
    found: Difference | None,
    seeds: Sequence[int] | None,
) -> Change:
    if before is None or after is None:
        verdict = ADDED if before is None else MISSING
        return Change(key, before, after, verdict)
    if found is None:
        verdict = NEWLY_FAILED if before.n else ADDED if after.n else NOT_JUDGED
        return Change(key, before, after, verdict, reason=after.reason)
    verdict = _verdict(found, metrics.lookup(key.metric).sign)
    if before.primary and verdict != WORSE:
        if after.runs - after.n > before.runs - before.n:
            return Change(key, before, after, NEWLY_FAILED, found, after.reason)
        if lost := _lost(before, after, seeds):
            return Change(key, before, after, RUNS_MISSING, found, f"seeds {', '.join(map(str, lost))}")
    return Change(key, before, after, verdict, found)


def _lost(before: ResultCell, after: ResultCell, seeds: Sequence[int] | None) -> list[int]:
    """Seeds whose runs are missing; those of ``before`` count only where ``after`` has fewer runs."""
    if seeds is not None:
        return sorted(set(seeds) - after.values.keys())
    return sorted(before.values.keys() - after.values.keys()) if after.n < before.n else []


def _verdict(found: Difference, sign: int) -> str:
    if not sign:
        return NOT_JUDGED
    if not found.beyond:
        return WITHIN
    return BETTER if sign * found.value > 0 else WORSE


def seed_warnings(before: Iterable[ResultCell], after: Iterable[ResultCell], rules: Rules) -> list[str]:
    """Seeds of ``after`` that do not count, since both sides have others in common; a remark."""
    return _extra_seeds(_pairs(_by_key(before), _by_key(after)), rules)


def _by_key(cells: Iterable[ResultCell]) -> dict[CellKey, ResultCell]:
    return {cell.key: cell for cell in cells if not cell.skipped}


def _pairs(left: dict[CellKey, ResultCell], right: dict[CellKey, ResultCell]) -> list[Pair]:
    return [Pair(left[key], right[key]) for key in left if key in right and left[key].n and right[key].n]


def _extra_seeds(pairs: Iterable[Pair], rules: Rules) -> list[str]:
    extra = [(pair, sorted(pair.after.values.keys() - pair.shared)) for pair in pairs if goes_by_seed(pair, rules)]
    found = [(pair.before.key, seeds) for pair, seeds in extra if seeds]
    if not found:
        return []
    key, seeds = found[0]
    first = f"{key.task} {key.method}, seeds {', '.join(map(str, seeds[:5]))}{', …' if len(seeds) > 5 else ''}"
    return [f"seeds: {len(found)} cell(s) were judged by common seeds alone, not by others of B's; the first: {first}"]


def speed_warnings(before: Iterable[ResultCell], after: Iterable[ResultCell]) -> list[str]:
    """Runs that take `SLOWER` times as long as before; a remark, since machines and their load differ."""
    old = {cell.key: cell.train_seconds for cell in before if cell.primary}
    slower = []
    for cell in after:
        seconds = old.get(cell.key, 0.0) if cell.primary else 0.0
        if seconds > 0 and cell.train_seconds > SLOWER * seconds:
            slower.append((cell.train_seconds / seconds, f"{cell.key.task} {cell.key.method}"))
    slower.sort(reverse=True)
    if not slower:
        return []
    worst = ", ".join(f"{name} {ratio:.2f}×" for ratio, name in slower[:5])
    return [f"speed: {len(slower)} cell(s) train more than {SLOWER}× as long as before: {worst}"]


def of_profile(cells: Iterable[ResultCell], profile: str | None) -> list[ResultCell]:
    """The cells of one profile; all for None."""
    return [cell for cell in cells if profile in (None, cell.key.profile)]
