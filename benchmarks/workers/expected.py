"""How long runs will take, from what is known: runs recorded on this machine, shipped measurements, relative costs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from omegaconf import DictConfig

from benchmarks.records.inputs import BadInput
from benchmarks.records.record import Record, read_record
from benchmarks.settings import capacity
from benchmarks.training.run import Run
from benchmarks.workers import measured

_SKIPPED = 0.1  # a run that the task does not have: its record is written, no more
_MOST_RECORDS = 5  # of a task and method that are read; the newest
#: Where nothing is measured: relative cost of starting, testing and recording a run, and seconds of a unit of cost.
_OVERHEAD, _SECONDS_PER_COST = 0.3, 2.5


def expected_seconds(runs: Sequence[Run]) -> list[float]:
    """Seconds that each run will take on one worker of this machine.

    What this machine recorded counts most. Shipped measurements are of another machine: they are scaled by the median
    ratio of those runs of which both are known. Relative costs (``task.cost``) are turned into seconds likewise.
    """
    here = [_recorded(run) for run in runs]
    shipped = [_shipped(run) for run in runs]
    speed = _ratio(here, shipped, 1.0)
    known = [h if h is not None else None if s is None else s * speed for h, s in zip(here, shipped, strict=True)]
    costs = [_cost(run.config) for run in runs]
    rate = _ratio(known, costs, _SECONDS_PER_COST)
    return [k if k is not None else cost * rate for k, cost in zip(known, costs, strict=True)]


def _ratio(seconds: Iterable[float | None], others: Iterable[float | None], without: float) -> float:
    both = [a / b for a, b in zip(seconds, others, strict=True) if a is not None and b is not None]
    return median(both) if both else without


def _recorded(run: Run) -> float | None:
    """From records of this machine: of the same configuration, else of the same task and method and profile."""
    if run.skip_reason is not None:
        return _SKIPPED
    folder = (run.records / run.id).parent
    for pattern, fits in ((f"seed*-{run.config_hash}.json", _as_it_is), ("seed*.json", _scaled)):
        found = [fits(record, run) for record in _read(folder, pattern) if _is_comparable(record, run)]
        if found:
            return median(found)
    return None


def _as_it_is(record: Record, run: Run) -> float:
    return measured.seconds_of(record)


def _scaled(record: Record, run: Run) -> float:
    return measured.Measurement.of(record).seconds_for(_task(run))


def _read(folder: Path, pattern: str) -> Iterable[Record]:
    newest = sorted(folder.glob(pattern), key=os.path.getmtime, reverse=True)[:_MOST_RECORDS]
    for path in newest:
        try:
            record = read_record(path)
        except BadInput:
            continue  # tables name it, and so does the plan if the run is its own
        if record.status == "ok":
            yield record


def _is_comparable(record: Record, run: Run) -> bool:
    """Made on this machine, with the settings that change a run's speed, on data of the same kind."""
    if record.data.get("source", run.source.kind) != run.source.kind:
        return False
    here = {"processor": capacity.processor(), "cores": os.cpu_count() or 0}
    here |= {key: run.config.hardware[key] for key in ("device", "precision", "threads")}
    return all(record.hardware.get(key) == value for key, value in here.items())


def _shipped(run: Run) -> float | None:
    """From the table that comes with the suite: of this method, else of the task's other methods."""
    if run.skip_reason is not None:
        return None
    found = measured.shipped_for(run.config.profile.name, run.config.task.name, run.source.kind)
    if not found:
        return None
    own = [found[run.method]] if run.method in found else list(found.values())
    return median(measurement.seconds_for(_task(run)) for measurement in own)


def _task(run: Run) -> dict[str, object]:
    task = run.config.task
    return {"epochs": task.epochs, "steps": task.steps}


def _cost(config: DictConfig) -> float:
    return float(_OVERHEAD + config.task.cost * (config.task.epochs or config.task.steps) / 100)
