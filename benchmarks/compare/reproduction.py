"""Does the same seed still train the same way? A number per run that says so: its mean training loss.

Final metrics cannot answer this. A feedback matrix whose sign is flipped is as good a random matrix as the
former: networks learn with it as well as before, and no test of means would ever see the bug. What changes is the
path of each single run. The mean of a run's training loss over all its evaluations follows that path, is
continuous where an accuracy counts nodes, and hardly feels the order of floating-point sums.

How much it moves on another processor was seen with SSE kernels in place of AVX-512 ones, relative: 1e-6 or less on
GCN, GAT, DNA, the autoencoder and NeRF, 5e-5 in one diverging run of DCN, 5e-4 on the Transformer, whose 271 steps at a
high rate amplify rounding. Between two other processors AFN under backprop moved by 3e-3 to 7e-3 in every seed, while
the same processor repeated it to the last digit: exponentials of sums of logarithms. What bugs do on the citation
graphs: one test label among 140 training nodes moves every seed by 3e-4 or more, one flipped feedback matrix by 8e-3 or
more. Tolerances stand between, and the gate wants every seed beyond.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np

from benchmarks.catalogue.discovery import architectures
from benchmarks.records import metrics
from benchmarks.records.cells import ResultCell
from benchmarks.records.record import run_id
from benchmarks.records.result_set import ResultSet
from benchmarks.records.run_history import History, is_whole

#: The metric's name.
MEAN_LOSS = metrics.MEAN_LOSS
#: Why its cell has no values.
THINNED = "its history was thinned, so the mean over all evaluations is not known"


def tolerance(architecture: str, value: float) -> float:
    """How far the mean loss of a run may be from ``value`` on another machine: as the catalogue says, or the metric."""
    known = architectures().get(architecture)
    if known is not None and known.loss_tolerance is not None:
        return known.loss_tolerance * abs(value)
    return metrics.lookup(MEAN_LOSS).tolerance("rerun_tolerance", value)


def with_mean_losses(results: ResultSet) -> list[ResultCell]:
    """The cells of a results folder, one of `MEAN_LOSS` beside each primary metric.

    The mean over some rows of a history is another number than that over all. So a history that was thinned, in a pack,
    gives none; a cell of which all were has the reason `THINNED` in place of values.
    """
    histories = results.histories
    known = {one.run_id: histories[one.run_id] for one in results.records if one.run_id in histories}
    thinned = {one.run_id for one in results.records if one.run_id in known and not is_whole(known[one.run_id], one)}
    whole = {run: history for run, history in known.items() if run not in thinned}
    return [*results.cells, *_mean_losses(results.cells, whole, thinned)]


def comparable(a: list[ResultCell], b: list[ResultCell]) -> tuple[list[ResultCell], list[ResultCell]]:
    """Both sides without `MEAN_LOSS` where only one of them has any: a baseline has it, a folder's cells do not."""
    if any(cell.key.metric == MEAN_LOSS for cell in a) == any(cell.key.metric == MEAN_LOSS for cell in b):
        return a, b
    without = ([cell for cell in side if cell.key.metric != MEAN_LOSS] for side in (a, b))
    return next(without), next(without)


def _mean_losses(
    cells: Iterable[ResultCell], whole: Mapping[str, History], thinned: Collection[str]
) -> Iterator[ResultCell]:
    for cell in cells:
        if not cell.primary:
            continue
        key = cell.key
        names = {seed: run_id(key.profile, key.task, key.method, seed, cell.config_hash) for seed in cell.values}
        values = {seed: _mean_loss(whole[name]) for seed, name in names.items() if name in whole}
        values = {seed: value for seed, value in values.items() if math.isfinite(value)}
        found = dataclasses.replace(cell, key=key._replace(metric=MEAN_LOSS), values=values, primary=False)
        if values:
            yield found
        elif any(name in thinned for name in names.values()):
            yield dataclasses.replace(found, reason=THINNED)


def _mean_loss(history: History) -> float:
    """The mean over the rows that have a training loss; NaN if none has."""
    losses = history.column("train_loss")
    known = losses[np.isfinite(losses)]
    return float(known.mean()) if len(known) else math.nan
