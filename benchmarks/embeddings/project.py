"""From hidden vectors to places in the plane. The same vectors give the same places."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

PERPLEXITY = 20  # arXiv:2006.12878, figure 2


def pca(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Coordinates along the two directions of largest variance, ``(nodes, 2)``, and their share of the variance."""
    vectors = _at_least_two(vectors)
    total = vectors.var(0).sum()
    if not total:
        return np.zeros((len(vectors), 2)), 1.0
    fitted = PCA(2, svd_solver="full").fit(vectors)
    return fitted.transform(vectors), float(fitted.explained_variance_ratio_.sum())


def tsne(vectors: np.ndarray) -> np.ndarray:
    """t-SNE (van der Maaten & Hinton 2008), started from the principal components: ``(nodes, 2)``.

    Neighbourhoods are kept, distances and the sizes of clusters are not: that is what the numbers are for.
    """
    vectors = _at_least_two(vectors)
    if not vectors.var(0).sum():
        return np.zeros((len(vectors), 2))
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=0).fit_transform(vectors)


def _at_least_two(vectors: np.ndarray) -> np.ndarray:
    """A plane needs two dimensions; a single hidden unit lies on a line in it."""
    missing = max(0, 2 - vectors.shape[1])
    return np.pad(vectors.astype(np.float64), ((0, 0), (0, missing)))
