"""Scenes: a dataset's number as the mean over its scenes (``nerf_synthetic/lego`` is a scene)."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Sequence
from functools import reduce

from benchmarks.catalogue.reference import published
from benchmarks.records.cells import ResultCell


def scenes_of(dataset: str) -> list[str]:
    """The paper's scenes of the dataset that ``dataset`` is or belongs to; empty for other datasets."""
    prefix = dataset.partition("/")[0] + "/"
    return list(dict.fromkeys(key.dataset for key in published() if key.dataset.startswith(prefix)))


def mean_over_scenes(cells: Sequence[ResultCell], dataset: str) -> tuple[ResultCell, list[str], str]:
    """One cell for ``dataset`` from those of its scenes, one each.

    Returns the cell, the datasets whose published number it compares with (the dataset itself if all its
    scenes were run, or none), and a remark such as " (3/8 scenes)" where some are missing. Seeds count if every
    scene has them; without common seeds the cell holds one value, the mean of the scenes' means. Its statuses
    count the runs of all scenes.
    """
    done = [cell for cell in cells if cell.n]
    every = scenes_of(dataset) or [cell.dataset for cell in cells]
    names = sorted(cell.dataset for cell in done)
    complete = not done or set(every) <= set(names)
    statuses = sum((Counter(cell.statuses) for cell in cells), Counter())
    # A scene that was skipped on purpose explains no failure; it speaks only where nothing was run at all.
    concerned = [cell for cell in cells if cell.ok < cell.runs] or [cell for cell in cells if not done]
    cell = dataclasses.replace(
        cells[0],
        dataset=dataset,
        values=_values(done),
        about_data="; ".join(dict.fromkeys(cell.about_data for cell in done if cell.about_data)),
        statuses=dict(statuses),
        reason=next((cell.reason for cell in concerned if cell.reason), ""),
    )
    remark = "" if complete else f" ({len(done)}/{len(every)} scenes)"
    return cell, [dataset] if complete else names, remark


def _values(done: Sequence[ResultCell]) -> dict[int, float]:
    if not done:
        return {}
    seeds = reduce(lambda left, right: left & right, (set(cell.values) for cell in done))
    if not seeds:
        return {-1: statistics.fmean(cell.mean for cell in done)}
    return {seed: statistics.fmean(cell.values[seed] for cell in done) for seed in sorted(seeds)}
