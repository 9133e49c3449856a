"""Does the same seed still train the same way? A number per run that says so: its mean training loss.

Final metrics cannot answer this. A feedback matrix whose sign is flipped is as good a random matrix as the
former: networks learn with it as well as before, and no test of means would ever see the bug. What changes is the
path of each single run. The mean of a run's training loss over all its evaluations follows that path, is
continuous where an accuracy counts nodes, and hardly feels the order of floating-point sums.

Its tolerance of 1e-4 (relative; the gate wants every seed beyond it) stands between what was seen of both: with
kernels for another processor (SSE in place of AVX-512) it moved by 1e-6 or less on GCN and the autoencoder and by
5e-5 in one diverging run of DCN; with one test label among 140 training nodes by 3e-4 or more on every seed; with one
flipped feedback matrix by 8e-3 or more.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.cells import Cell, aggregate
from benchmarks.evidence import histories_of
from benchmarks.histories import History
from benchmarks.records import Record, run_id

#: The metric's name.
MEAN_LOSS = "train_loss_mean"


def with_mean_losses(records: Sequence[Record], results: Path) -> list[Cell]:
    """The cells of ``records`` from a results folder, one of `MEAN_LOSS` beside each primary metric.

    Raises:
        ValueError: records or histories that are not readable; one line naming the run or the file.
    """
    cells = aggregate(records).cells
    return [*cells, *_mean_losses(cells, histories_of(records, results))]


def _mean_losses(cells: Iterable[Cell], histories: dict[str, History]) -> Iterator[Cell]:
    for cell in cells:
        if not cell.primary:
            continue
        key = cell.key
        names = {seed: run_id(key.profile, key.task, key.method, seed, cell.config_hash) for seed in cell.values}
        values = {seed: _mean_loss(histories[name]) for seed, name in names.items() if name in histories}
        values = {seed: value for seed, value in values.items() if math.isfinite(value)}
        if values:
            yield dataclasses.replace(cell, key=key._replace(metric=MEAN_LOSS), values=values, primary=False)


def _mean_loss(history: History) -> float:
    """The mean over the rows that have a training loss; NaN if none has."""
    losses = history.column("train_loss")
    known = losses[np.isfinite(losses)]
    return float(known.mean()) if len(known) else math.nan
