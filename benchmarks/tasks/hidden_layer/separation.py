"""How well classes lie apart in a representation, as two numbers that need no picture."""

from __future__ import annotations

import torch
from sklearn.metrics import silhouette_score
from torch import Tensor

#: Test nodes that are measured, kept and drawn. The public splits have 1000; the pairwise distances of all test nodes
#: of DNA on PubMed (11,830) would take longer than a training epoch, and their vectors more than a megabyte.
MOST_NODES = 1500


def some_of(nodes: Tensor) -> Tensor:
    """``nodes`` in rising order; of more than `MOST_NODES` a random choice, the same at every call."""
    if len(nodes) > MOST_NODES:
        choice = torch.randperm(len(nodes), generator=torch.Generator().manual_seed(0))[:MOST_NODES]
        nodes = nodes[choice.to(nodes.device)]
    return nodes.sort().values


def separation(vectors: Tensor, labels: Tensor) -> dict[str, float]:
    """Silhouette of the classes, and leave-one-out accuracy of the nearest neighbour's label in percent.

    The silhouette (Rousseeuw 1987) is the mean of (b − a) / max(a, b) over the nodes: a the mean distance to the others
    of the node's class, b that to the nearest other class. 1: classes are tight and far apart; 0: they overlap. It asks
    for one compact cluster a class. The nearest neighbour only asks that like lies by like, in clusters of any shape.
    Both are Euclidean and do not depend on the vectors' scale.

    Args:
        vectors: ``(nodes, width)``.
        labels: ``(nodes,)`` integers.

    Returns:
        ``silhouette`` and ``knn_accuracy``; nothing where they are not defined: a vector that is not finite, a single
        class, or no class with two nodes.
    """
    if not 2 <= len(labels.unique()) < len(labels) or not vectors.isfinite().all():
        return {}
    points = vectors.detach().double().cpu()
    # Exact differences: the usual |x|² + |y|² − 2xy leaves equal vectors at a distance, at random nearer than others.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    labels = labels.cpu()
    silhouette = float(silhouette_score(distances.numpy(), labels.numpy(), metric="precomputed"))
    nearest = distances.fill_diagonal_(torch.inf).argmin(1)  # of several at the same distance, the first
    return {"silhouette": silhouette, "knn_accuracy": 100 * (labels[nearest] == labels).double().mean().item()}
