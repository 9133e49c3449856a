"""From recorded runs to what a figure shows: one column per method, and the network they all started from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks.catalogue.methods import method_order
from benchmarks.embeddings import figure_name
from benchmarks.records.cells import ResultCell
from benchmarks.records.inputs import BadInput
from benchmarks.records.record import run_id
from benchmarks.records.result_set import ResultSet
from benchmarks.tasks.hidden_layer.file import SUFFIX, Embedding, read
from benchmarks.tasks.hidden_layer.separation import separation

METRICS = ("silhouette", "knn_accuracy")
INITIAL = "random initialisation"


@dataclass(frozen=True, eq=False)
class Column:
    """One representation of the nodes."""

    title: str
    vectors: np.ndarray  # (nodes, width)
    numbers: dict[str, float]  # of these vectors, by metric
    cells: dict[str, ResultCell] = field(default_factory=dict)  # the same over all recorded seeds; empty: not recorded


@dataclass(frozen=True, eq=False)
class Figure:
    """One task under one profile on one data source: the runs of one seed side by side."""

    profile: str
    task: str
    source: str
    seed: int
    labels: np.ndarray  # (nodes,)
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()  # to stand below it

    @property
    def name(self) -> str:
        """The file below the folder of figures, without suffix."""
        return figure_name(self.profile, self.task, self.source)


def figures_of(results: ResultSet, seed: int) -> tuple[list[Figure], list[str]]:
    """The figures that the runs of ``seed`` allow, and remarks on what is missing.

    As in tables, the newest settings count and overridden ones are left out. `ResultSet.on_bad` gets kept vectors that
    cannot be read, or do not fit the other runs.

    Raises:
        ValueError: there is nothing to show; one line.
    """
    groups: dict[tuple[str, str, str], dict[str, dict[str, ResultCell]]] = defaultdict(lambda: defaultdict(dict))
    for cell in results.cells:
        if cell.key.metric in METRICS and cell.n and not cell.key.variant:
            groups[cell.key.profile, cell.key.task, cell.key.data_source][cell.key.method][cell.key.metric] = cell
    figures, remarks = [], []
    for (profile, task, source), methods in sorted(groups.items()):
        found, missing = _embeddings(results, methods, seed)
        remarks += [f"{profile}:{task}: {remark}" for remark in missing]
        if found:
            columns, notes = _columns(found, methods, seed)
            labels = next(iter(found.values())).labels
            figures.append(Figure(profile, task, source, seed, labels, columns, notes))
    if not figures:
        reason = remarks[0] if remarks else "no record that matches --profile and --tasks measured its hidden layer"
        hint = "node classification does: run it, or name its tasks, such as --tasks citation"
        raise ValueError(f"{results.folder}: nothing to draw: {reason}; {hint}")
    return figures, remarks


def _embeddings(
    results: ResultSet, methods: dict[str, dict[str, ResultCell]], seed: int
) -> tuple[dict[str, Embedding], list[str]]:
    """The kept vectors by method, in the tables' order, and why others have none."""
    found: dict[str, Embedding] = {}
    missing = []
    for method in sorted(methods, key=method_order):
        cell = next(iter(methods[method].values()))
        run = run_id(cell.key.profile, cell.key.task, method, seed, cell.config_hash)
        path = results.artefact(run, SUFFIX)
        if seed not in cell.values:
            missing.append(f"{method}: no run of seed {seed} that ended well")
        elif not path.is_file():
            missing.append(f"{method}: no {path.name} in {path.parent} (packed records come without)")
        else:
            try:
                embedding = read(path)
                _check_fit(path, embedding, next(iter(found.values()), embedding))
                found[method] = embedding
            except BadInput as error:
                results.on_bad(error)
    return found, missing


def _check_fit(path: Path, embedding: Embedding, first: Embedding) -> None:
    """All methods of a seed show the same nodes and started from the same weights, but for rounding."""
    same_nodes = np.array_equal(embedding.nodes, first.nodes) and np.array_equal(embedding.labels, first.labels)
    size = float(np.abs(first.initial).max())
    same_start = embedding.initial.shape == first.initial.shape and np.allclose(
        embedding.initial, first.initial, rtol=0, atol=0.01 * size
    )
    if not (same_nodes and same_start):
        what = "initial weights" if same_nodes else "nodes or labels"
        raise BadInput(path, f"other {what} than the other methods' runs", "move these records away, run them again")


def _columns(
    found: dict[str, Embedding], methods: dict[str, dict[str, ResultCell]], seed: int
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """The methods, then the random initialisation: in a column of its own, or as the method that never left it."""
    columns, unmoved = [], []
    for method, embedding in found.items():
        cells = methods[method]
        title = method
        if np.array_equal(embedding.trained, embedding.initial):
            unmoved.append(method)
            title = f"{method} = {INITIAL}"
        numbers = {metric: cell.values[seed] for metric, cell in cells.items()}
        columns.append(Column(title, embedding.trained, numbers, cells))
    if unmoved:
        leaves = "leave" if len(unmoved) > 1 else "leaves"
        return tuple(columns), (f"{' and '.join(unmoved)} {leaves} the hidden layer exactly as it was initialised.",)
    first = next(iter(found.values()))
    numbers = separation(torch.from_numpy(first.initial), torch.from_numpy(first.labels))
    return (*columns, Column(INITIAL, first.initial, numbers)), ()
