"""The citation graphs (Cora, CiteSeer, PubMed) with the public split of Planetoid.

Yang, Cohen, Salakhutdinov, "Revisiting semi-supervised learning with graph embeddings", 2016. The result
equals `torch_geometric.datasets.Planetoid` without a transform, from the same files; what differs is that
no file is trusted. Notation as in `planetoid.raw`.
"""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
from torch_geometric.data import Data

from datasets.core.source import Source, prepare
from datasets.planetoid.raw import RawFiles, RawGraph, read_raw

N_VALIDATION = 500  # in the public split, the nodes that follow the labelled ones
_MOST_ENTRIES = 1 << 28  # of the dense features, 1 GB; the largest published graph has 1.2e7


def load_citation(source: Source) -> Data:
    """Load a citation graph; a stand-in is generated first if it is not there yet.

    Returns x (N, F) float32, dense and not normalised; edge_index (2, E) int64, both directions of each
    edge, without duplicates and self-loops, sorted by target and then by source; y (N,) int64; train_mask,
    val_mask and test_mask (N,) bool. Nodes without a row in the files have no features and label 0. Raises
    DataError if a file is missing, altered, truncated or at odds with the others.
    """
    prepare(source)
    files, raw = RawFiles(source), read_raw(source)
    _check_rows(files, raw)
    _check_test_index(files, raw)
    n_nodes = len(raw.graph)
    data = Data(
        x=torch.from_numpy(_features(raw)),
        edge_index=torch.from_numpy(_edges(files, raw.graph)),
        y=torch.from_numpy(_labels(raw)),
    )
    n_train = raw.y.shape[0]
    data.train_mask = _mask(n_nodes, np.arange(n_train))
    data.val_mask = _mask(n_nodes, np.arange(n_train, n_train + N_VALIDATION))
    data.test_mask = _mask(n_nodes, raw.test_index)
    return data


def _check_rows(files: RawFiles, raw: RawGraph) -> None:
    """Rows of features and labels agree, and so do the columns of all features and of all labels."""
    for features, labels in (("x", "y"), ("tx", "ty"), ("allx", "ally")):
        n_features, n_labels = getattr(raw, features).shape[0], getattr(raw, labels).shape[0]
        if n_features != n_labels:
            files.fail(labels, f"{n_labels} rows for {n_features} rows in {files.path(features).name}")
    for part, whole in (("x", "allx"), ("tx", "allx"), ("y", "ally"), ("ty", "ally")):
        width, expected = getattr(raw, part).shape[1], getattr(raw, whole).shape[1]
        if width != expected:
            files.fail(part, f"{width} columns where {files.path(whole).name} has {expected}")
    n_train, n_known = raw.y.shape[0], raw.ally.shape[0]
    if n_train == 0:
        files.fail("y", "holds no labelled node")
    n_nodes, n_features = len(raw.graph), raw.allx.shape[1]
    if not 0 < n_nodes * n_features <= _MOST_ENTRIES:
        files.fail("allx", f"{n_features} features of {n_nodes} nodes, where 1 … {_MOST_ENTRIES} numbers are expected")
    if n_train + N_VALIDATION > n_known:
        needed = f"{n_train} training and {N_VALIDATION} validation nodes"
        files.fail("allx", f"{n_known} rows are too few for {needed}")


def _check_test_index(files: RawFiles, raw: RawGraph) -> None:
    """Test nodes are nodes of the graph that follow the others, one per row of tx."""
    n_test, n_known, n_nodes = raw.tx.shape[0], raw.allx.shape[0], len(raw.graph)
    if len(raw.test_index) != n_test:
        files.fail("test.index", f"{len(raw.test_index)} nodes for {n_test} rows in {files.path('tx').name}")
    bad = np.flatnonzero((raw.test_index < n_known) | (raw.test_index >= n_nodes))
    if len(bad):
        files.fail(
            "test.index",
            f"line {bad[0] + 1}: node {raw.test_index[bad[0]]} is out of range, "
            f"test nodes are {n_known} … {n_nodes - 1}",
        )


def _features(raw: RawGraph) -> np.ndarray:
    """(N, F) float32. Rows of tx go where the test index says; its gaps (in CiteSeer) stay zero."""
    n_known = raw.allx.shape[0]
    x = np.zeros((len(raw.graph), raw.allx.shape[1]), dtype=np.float32)
    x[:n_known] = raw.allx.toarray()
    x[raw.test_index] = raw.tx.toarray()
    return x


def _labels(raw: RawGraph) -> np.ndarray:
    """(N,) int64."""
    y = np.zeros(len(raw.graph), dtype=np.int64)
    y[: raw.ally.shape[0]] = raw.ally.argmax(axis=1)
    y[raw.test_index] = raw.ty.argmax(axis=1)
    return y


def _edges(files: RawFiles, graph: dict[int, list[int]]) -> np.ndarray:
    """(2, E) int64. The files repeat some edges and have self-loops; neither is kept."""
    n_nodes = len(graph)
    degrees = [len(neighbours) for neighbours in graph.values()]
    source = np.repeat(np.fromiter(graph, np.int64, n_nodes), degrees)
    target = np.fromiter(chain.from_iterable(graph.values()), np.int64, len(source))
    off_diagonal = source != target
    source, target = source[off_diagonal], target[off_diagonal]
    # One number per edge, so that sorting and removing duplicates is one pass.
    keys = np.unique(target * n_nodes + source)
    target, source = np.divmod(keys, n_nodes)
    one_way = np.setdiff1d(keys, source * n_nodes + target, assume_unique=True)
    if len(one_way):
        end, start = divmod(int(one_way[0]), n_nodes)
        files.fail("graph", f"node {start} has the neighbour {end}, but not the other way round")
    return np.stack([source, target])


def _mask(n_nodes: int, index: np.ndarray) -> torch.Tensor:
    mask = torch.zeros(n_nodes, dtype=torch.bool)
    mask[torch.from_numpy(index)] = True
    return mask
