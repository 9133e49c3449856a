"""Runs as a pandas frame: a row per run and metric, for notebooks and other tools.

A row has its run's ``profile domain task architecture dataset method variant seed status reason``, its ``metric`` and
``value`` (NaN where the run gave none; a run without metrics has one row), then

- ``primary``: whether the task is judged by this metric.
- ``counts``: whether the tables' means hold the value: the run ended well, its settings are the newest, and the value
  is no divergence in disguise.
- ``data_source fingerprint config_hash``: what the run learned from, and the hash of its settings.
- ``epochs steps parameters train_seconds eval_seconds alignment_seconds samples_per_second peak_memory_mb``.
- ``hardware commit finished``: where, with which code and when it ran.
- ``run pack``: where its record lies below ``records/``, without suffix, and the pack that holds it ("" for none).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from benchmarks.records.cells import LARGEST, NAN, ResultCell
from benchmarks.records.runs import Run
from benchmarks.records.timing import hardware_in_words

_IDENTITY = (
    *("profile", "domain", "task", "architecture", "dataset", "method", "variant", "seed", "status", "reason"),
)
_COSTS = (
    *("parameters", "train_seconds", "eval_seconds", "alignment_seconds", "samples_per_second", "peak_memory_mb"),
)
COLUMNS = (
    *_IDENTITY,
    *("metric", "value", "primary", "counts", "data_source", "fingerprint", "config_hash", "epochs", "steps"),
    *_COSTS,
    *("hardware", "commit", "finished", "run", "pack"),
)

#: Profile, task, method, variant and data source: one configuration of each gives the cells.
_Place = tuple[str, str, str, str, str]


def frame_of(runs: Iterable[Run], cells: Iterable[ResultCell]) -> pd.DataFrame:
    """The frame of ``runs``; ``cells`` are those that they were gathered into."""
    newest: dict[_Place, str] = {}
    primary: dict[_Place, str] = {}
    for cell in cells:
        key = cell.key
        place = (key.profile, key.task, key.method, key.variant, key.data_source)
        newest[place] = cell.config_hash
        if cell.primary:
            primary[place] = key.metric
    return pd.DataFrame.from_records([row for run in runs for row in _rows(run, newest, primary)], columns=[*COLUMNS])


def _rows(run: Run, newest: dict[_Place, str], primary: dict[_Place, str]) -> Iterator[tuple[Any, ...]]:
    record = run.record
    place = (record.profile, record.task, record.method, record.variant, run.source)
    judged_by = primary.get(place, record.primary_metric)
    counts = record.status == "ok" and newest.get(place) == record.config_hash
    identity = [getattr(record, name) for name in _IDENTITY]
    made = (
        *(run.source, record.data.get("fingerprint", ""), record.config_hash),
        *(record.budget.get("epochs", 0), record.budget.get("steps", 0)),
        *(getattr(record, name) for name in _COSTS),
        *(hardware_in_words(record.hardware), record.code.get("commit") or "", record.finished),
        *(record.run_id, run.pack),
    )
    for metric, value in sorted((record.metrics or {judged_by: NAN}).items()):
        yield (*identity, metric, value, metric == judged_by, counts and abs(value) < LARGEST, *made)
