"""The eight raw files of a Planetoid graph, read one by one into arrays and checked on their own.

Notation, here and in `planetoid`: C classes, F features, n_train labelled nodes, n_known nodes that are not
test nodes, n_test test nodes, N nodes in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from scipy.sparse import csr_matrix, issparse

from datasets.core.errors import DataError, shown
from datasets.core.files import read_file
from datasets.core.manifest import read_checked
from datasets.core.source import Source, hint_for
from datasets.pickles.arrays import LIMIT, load_pickle
from datasets.planetoid.manifest import file_name


@dataclass(frozen=True)
class RawGraph:
    """The content of the eight files.

    x, tx, allx: features of the labelled (n_train, F), test (n_test, F) and non-test nodes (n_known, F).
    y, ty, ally: their labels, one-hot, (…, C). graph: neighbours of each of the N nodes.
    test_index: (n_test,) int64, the node that each row of tx and ty belongs to.
    """

    x: csr_matrix
    tx: csr_matrix
    allx: csr_matrix
    y: np.ndarray
    ty: np.ndarray
    ally: np.ndarray
    graph: dict[int, list[int]]
    test_index: np.ndarray


@dataclass(frozen=True)
class RawFiles:
    """Access to the raw files of a source, with errors that name the file and how to fix it."""

    source: Source

    def path(self, part: str) -> Path:
        """Where a part lies, e.g. `allx`."""
        return self.source.folder / file_name(self.source.name, part)

    def fail(self, part: str, what: str) -> NoReturn:
        """Raise DataError about a part."""
        raise DataError(f"{self.path(part)}: {what}; {hint_for(self.source)}")

    def content(self, part: str) -> bytes:
        """The bytes of a part; of real data only once they agree with the published checksum."""
        path = self.path(part)
        if self.source.kind == "real":
            expected = self.source.dataset.manifest.find(path.name)
            return read_checked(path, expected, hint_for(self.source))
        return read_file(path, hint_for(self.source), LIMIT)


def read_raw(source: Source) -> RawGraph:
    """Read and check the eight files; DataError names the bad one, and the line or index if it has one."""
    files = RawFiles(source)
    return RawGraph(
        x=_read_features(files, "x"),
        tx=_read_features(files, "tx"),
        allx=_read_features(files, "allx"),
        y=_read_labels(files, "y"),
        ty=_read_labels(files, "ty"),
        ally=_read_labels(files, "ally"),
        graph=_read_graph(files),
        test_index=_read_test_index(files),
    )


def _unpickle(files: RawFiles, part: str) -> Any:
    return load_pickle(files.content(part), files.path(part), hint_for(files.source))


def _read_features(files: RawFiles, part: str) -> csr_matrix:
    """(rows, F), of numbers that are finite as float32; each entry stands there once."""
    matrix = _unpickle(files, part)
    if not issparse(matrix):
        files.fail(part, f"holds {type(matrix).__name__}, not a sparse matrix of features")
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    with np.errstate(over="ignore"):
        finite = np.isfinite(matrix.data.astype(np.float32))
    if not finite.all():
        row = np.searchsorted(matrix.indptr, np.argmin(finite), side="right") - 1
        files.fail(part, f"row {row} has a feature that is not finite")
    return matrix


def _read_labels(files: RawFiles, part: str) -> np.ndarray:
    """(rows, C), one-hot."""
    labels = _unpickle(files, part)
    if not isinstance(labels, np.ndarray) or labels.ndim != 2:
        files.fail(part, "does not hold a two-dimensional array of labels")
    one_hot = (labels == 1).sum(axis=1) == 1
    one_hot &= (labels != 0).sum(axis=1) == 1
    if not one_hot.all():
        files.fail(part, f"row {np.argmin(one_hot)} is not one-hot")
    return labels


def _read_graph(files: RawFiles) -> dict[int, list[int]]:
    """Neighbours by node: the keys are 0 … N − 1, in any order, and so are the neighbours."""
    graph = _unpickle(files, "graph")
    if not isinstance(graph, dict):
        files.fail("graph", "does not hold a dictionary of neighbours")
    n_nodes = len(graph)
    for node, neighbours in graph.items():
        if not _is_node(node, n_nodes):
            files.fail("graph", f"{shown(node)} is not a node of a graph with {n_nodes} nodes")
        if type(neighbours) is not list:
            files.fail("graph", f"the neighbours of node {node} are not a list")
    # All neighbours at once, as this is quick; which node has the bad one matters only if there is one.
    flat = list(chain.from_iterable(graph.values()))
    if flat and (set(map(type, flat)) != {int} or min(flat) < 0 or max(flat) >= n_nodes):
        node, bad = next((n, v) for n, vs in graph.items() for v in vs if not _is_node(v, n_nodes))
        files.fail("graph", f"node {node} has the neighbour {shown(bad)}, but nodes are 0 … {n_nodes - 1}")
    return graph


def _is_node(value: object, n_nodes: int) -> bool:
    return type(value) is int and 0 <= value < n_nodes


def _read_test_index(files: RawFiles) -> np.ndarray:
    """(n_test,) int64: one non-negative node number per line, none twice."""
    first_line: dict[int, int] = {}
    for number, line in enumerate(files.content("test.index").splitlines(), start=1):
        text = line.strip()
        # Eighteen digits fit into int64 whatever they are.
        if not text.isdigit() or len(text) > 18:
            shown = text[:20].decode("ascii", errors="replace")
            files.fail("test.index", f"line {number}: {shown!r} is not a node number")
        node = int(text)
        if node in first_line:
            files.fail("test.index", f"line {number}: node {node} stands on line {first_line[node]} already")
        first_line[node] = number
    if not first_line:
        files.fail("test.index", "holds no node numbers")
    return np.fromiter(first_line, dtype=np.int64, count=len(first_line))
