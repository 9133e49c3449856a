"""Alignment matrices of linear nets, and grids of data structures (arXiv:2011.12428).

A linear net that starts from zero weights stays of the form W_1 = F_1 A_1, W_l = F_l A_l F_{l−1}ᵀ, W_L = A_L F_{L−1}ᵀ.
With c_0 = x, c_1 = A_1 x and c_l = A_l (F_{l−1}ᵀ F_{l−1}) c_{l−1}, a step of DFA is

    ΔA_1 = −η Σ e xᵀ        ΔA_l = −η Σ e c_{l−1}ᵀ

over the batch, for the output layer as well. The better conditioned the A_l are, the closer lie δ_l and the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from benchmarks.studies.theory.nets import Net, batches, correlated_targets

_SAMPLES, _BATCH, _OUTPUTS = 992, 32, 2


def linear_net(
    alpha: float, beta: float, dims: int, width: int, layers: int, lr: float, epochs: int, seed: int
) -> dict[str, float | list[float]]:
    """Train one linear net and its recursion side by side.

    Args:
        alpha, beta: of `correlated_targets`.
        layers: weight matrices.

    Returns:
        ``error``: how far the weights are from the recursion's, relative, in the worst layer; ``conditions`` of A_2 …;
        ``weights`` and ``gradients``: both alignments in the end.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(_SAMPLES, dims))
    y = correlated_targets(_SAMPLES, alpha, beta, rng)
    net = Net([dims, *[width] * (layers - 1), _OUTPUTS], "linear", rng, np.random.default_rng(0))
    matrices = [np.zeros((_OUTPUTS, dims)), *(np.zeros((_OUTPUTS, _OUTPUTS)) for _ in range(layers - 1))]
    grams = [f.T @ f for f in net.feedback]
    for _ in range(epochs):
        for chosen in batches(_SAMPLES, _BATCH, rng):
            inner = _inner(matrices, grams, x[chosen])
            error = net.step(x[chosen], y[chosen], lr)
            for matrix, c in zip(matrices, inner, strict=True):
                matrix -= lr * error.T @ c
    return {
        "error": _distance(net, matrices),
        "conditions": [float(np.linalg.cond(matrix)) for matrix in matrices[1:]],
        "weights": net.weight_alignment(),
        "gradients": net.gradient_alignment(x, y),
    }


def _inner(matrices: Sequence[np.ndarray], grams: Sequence[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """The factors of the updates of A_1 … A_L: x, then c_1 … c_{L−1}, ``(n, …)`` each."""
    found = [x]
    c = x @ matrices[0].T
    for matrix, gram in zip(matrices[1:], grams, strict=True):
        found.append(c)
        c = c @ gram.T @ matrix.T
    return found


def _distance(net: Net, matrices: Sequence[np.ndarray]) -> float:
    f = net.feedback
    middle = [upper @ a @ lower.T for (lower, upper), a in zip(pairwise(f), matrices[1:-1], strict=True)]
    expected = [f[0] @ matrices[0], *middle, matrices[-1] @ f[-1].T]
    return max(float(np.linalg.norm(w - m) / np.linalg.norm(m)) for w, m in zip(net.weights, expected, strict=True))


def linear_grid(
    grid: Sequence[Sequence[float]], dims: int, width: int, layers: int, lr: float, epochs: int, seeds: int
) -> list[dict[str, object]]:
    """`linear_net` for each (α, β) and seed."""
    return [
        {"alpha": a, "beta": b, "seed": seed, **linear_net(a, b, dims, width, layers, lr, epochs, seed)}
        for a, b in grid
        for seed in range(seeds)
    ]


def structure_grid(
    grid: Sequence[Sequence[float]],
    activations: Sequence[str],
    dims: int,
    width: int,
    lr: float,
    epochs: int,
    seeds: int,
) -> list[dict[str, object]]:
    """Alignment of non-linear nets of three weight matrices after training, for each (α, β), activation and seed."""
    found: list[dict[str, object]] = []
    for activation in activations:
        for alpha, beta in grid:
            for seed in range(seeds):
                rng = np.random.default_rng(seed)
                x = rng.normal(size=(_SAMPLES, dims))
                y = correlated_targets(_SAMPLES, alpha, beta, rng)
                net = Net([dims, width, width, _OUTPUTS], activation, rng, np.random.default_rng(0))
                for _ in range(epochs):
                    for chosen in batches(_SAMPLES, _BATCH, rng):
                        net.step(x[chosen], y[chosen], lr)
                found.append({
                    "activation": activation, "alpha": alpha, "beta": beta, "seed": seed,
                    "weights": net.weight_alignment(), "gradients": net.gradient_alignment(x, y),
                })  # fmt: skip
    return found
