"""Speed as each method's training time relative to backprop's in the same set of runs.

Seconds differ between machines and with their load; ratios of runs that were made side by side hardly do.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.records.cells import ResultCell

#: Method → factor.
Factors = dict[str, float]


class _Run(NamedTuple):
    """A method on a network and a dataset, without the task: placements are tasks of their own, but share backprop."""

    domain: str
    architecture: str
    dataset: str
    method: str


def times_of_backprop(cells: Iterable[ResultCell]) -> Factors:
    """Each method's training time as a multiple of backprop's: geometric mean over what has both."""
    return _means(_ratios(cells))


def changes(before: Iterable[ResultCell], after: Iterable[ResultCell]) -> Factors:
    """The factor by which each method's multiple of backprop's time grew: geometric mean over common tasks."""
    old, new = _ratios(before), _ratios(after)
    return _means({run: new[run] / old[run] for run in sorted(old.keys() & new.keys())})


def _ratios(cells: Iterable[ResultCell]) -> dict[_Run, float]:
    """Training time over backprop's on the same network and data, for every other method."""
    seconds = {
        _Run(cell.domain, cell.architecture, cell.dataset, cell.key.method): cell.train_seconds
        for cell in cells
        if cell.primary and not cell.key.variant and cell.train_seconds > 0
    }
    return {
        run: value / seconds[bp]
        for run, value in seconds.items()
        if run.method != "bp" and (bp := run._replace(method="bp")) in seconds
    }


def _means(ratios: dict[_Run, float]) -> Factors:
    by_method: dict[str, list[float]] = defaultdict(list)
    for run, ratio in ratios.items():
        by_method[run.method].append(ratio)
    return {method: statistics.geometric_mean(found) for method, found in sorted(by_method.items())}
