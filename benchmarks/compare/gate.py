"""The regression gate: what fails when records are judged against a baseline.

Quality is judged as in ``benchmarks.compare``, in both directions: an improvement nobody intended may be a leaked
label, and one that was intended deserves a new baseline. Changed settings or data make old numbers incomparable and
fail with a line that says what to do. So does a run that no longer repeats itself: same settings, same data and same
seed, but another training loss (``benchmarks.compare.reproduction``). Speed only warns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from benchmarks.compare.changes import BETTER, FAILING, NOT_JUDGED, Change, Comparison
from benchmarks.compare.judge import SLOWER, compare, seed_warnings
from benchmarks.compare.relative_speed import changes as speed_changes
from benchmarks.compare.reproduction import MEAN_LOSS, THINNED, tolerance
from benchmarks.records.cells import NAN, ResultCell
from benchmarks.statistics.noise import Difference, Pair, Rules

SETTINGS_CHANGED = "settings changed"
DATA_CHANGED = "data changed"
UNEXPECTED = "better than the baseline"
NOT_REPRODUCED = "not reproduced"
FIX_HINT = "rebuild the baseline with: make baseline"


def check(
    baseline: Iterable[ResultCell],
    current: Iterable[ResultCell],
    rules: Rules | None = None,
    allow_better: bool = False,
    seeds: Sequence[int] | None = None,
) -> Comparison:
    """Judge ``current`` against ``baseline``; what fails is stricter than in a plain comparison.

    Args:
        rules: how strict to be.
        allow_better: an improvement does not fail.
        seeds: those that every cell of ``current`` was run with, in case they are not the baseline's. Equal seeds
            are compared one by one, others by their means, against the noise between seeds.
    """
    rules, baseline, current = rules or Rules(), list(baseline), list(current)
    found = compare(baseline, current, rules, seeds)
    failing = FAILING | {SETTINGS_CHANGED, DATA_CHANGED, NOT_REPRODUCED, UNEXPECTED}
    factors = speed_changes(baseline, current)
    slower = [
        f"speed: {method} takes {factor:.2f}× its former share of backprop's time"
        for method, factor in factors.items()
        if factor > SLOWER
    ]
    changes = [_stricter(change, rules, allow_better) for change in found.changes]
    return Comparison(changes, [*slower, *seed_warnings(baseline, current, rules)], failing, factors)


def _stricter(change: Change, rules: Rules, allow_better: bool) -> Change:
    before, after = change.before, change.after
    if before is None or after is None:
        return change
    # The hash covers the data too, so the more telling of the two comes first.
    if before.fingerprint != after.fingerprint and after.n:
        return dataclasses.replace(change, verdict=DATA_CHANGED, reason=FIX_HINT)
    if change.settings_differ:
        return dataclasses.replace(change, verdict=SETTINGS_CHANGED, reason=FIX_HINT)
    if after.reason == THINNED:
        return dataclasses.replace(change, verdict=NOT_JUDGED)
    if (
        change.key.metric == MEAN_LOSS
        and not rules.unpaired
        and (found := smallest_seed_change(Pair(before, after), rules))
    ):
        reason = f"a bug, or other draws? then {FIX_HINT}"
        return dataclasses.replace(change, verdict=NOT_REPRODUCED, difference=found, reason=reason)
    if change.verdict == BETTER and not allow_better:
        return dataclasses.replace(change, verdict=UNEXPECTED, reason=f"a leak, or progress? then {FIX_HINT}")
    return change


def smallest_seed_change(pair: Pair, rules: Rules) -> Difference | None:
    """The smallest move of a common seed, if it is more than another machine's arithmetic explains, whichever way."""
    if not pair.shared:
        return None
    value, seed = min(((move, seed) for move, seed in zip(pair.by_seed, pair.shared, strict=True)), key=_size)
    before = pair.before
    allowed = rules.rerun * tolerance(before.architecture, before.values[seed])
    return Difference(value, NAN, allowed, "every seed") if abs(value) > allowed else None


def _size(move: tuple[float, int]) -> float:
    return abs(move[0])
