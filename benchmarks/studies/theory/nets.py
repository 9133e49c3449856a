"""Deep nets without biases in plain numpy, for what needs no record: linear nets and grids of data structures.

Notation as in arXiv:2011.12428: layers a_l = W_l h_{l-1}, h_l = g(a_l), error e = 2 (ŷ − y) of the loss summed over a
batch and its outputs, F_l the feedback of hidden layer l, ``(width, outputs)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

#: Activations with their derivatives as functions of a.
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "linear": (lambda a: a, np.ones_like),
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float)),
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
}


class Net:
    """A net that DFA trains.

    Args:
        widths: of the input, the hidden layers and the output.
        activation: one of `ACTIVATIONS`; weights of a linear net start at zero, others at U(±1/√inputs).
        rng: draws the weights.
        feedback_rng: draws F_l, U(−1, 1)/√width.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str,
        rng: np.random.Generator,
        feedback_rng: np.random.Generator,
    ) -> None:
        self.g, self.slope = ACTIVATIONS[activation]
        shapes = [(b, a) for a, b in pairwise(widths)]
        self.weights = [
            np.zeros(shape) if activation == "linear" else rng.uniform(-1, 1, shape) / math.sqrt(shape[1])
            for shape in shapes
        ]
        self.feedback = [feedback_rng.uniform(-1, 1, (n, widths[-1])) / math.sqrt(n) for n in widths[1:-1]]

    def forward(self, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Activations h_0 … h_{L−1} and pre-activations a_1 … a_L of inputs ``(n, inputs)``."""
        outputs, before = [x], []
        for weight in self.weights[:-1]:
            before.append(outputs[-1] @ weight.T)
            outputs.append(self.g(before[-1]))
        before.append(outputs[-1] @ self.weights[-1].T)
        return outputs, before

    def signals(self, before: Sequence[np.ndarray], error: np.ndarray) -> list[np.ndarray]:
        """δ_1 … δ_L under DFA."""
        hidden = [error @ f.T * self.slope(a) for f, a in zip(self.feedback, before[:-1], strict=True)]
        return [*hidden, error]

    def gradients(self, before: Sequence[np.ndarray], error: np.ndarray) -> list[np.ndarray]:
        """dL/da_1 … dL/da_L."""
        found = [error]
        for weight, a in zip(reversed(self.weights[1:]), reversed(before[:-1]), strict=True):
            found.insert(0, found[0] @ weight * self.slope(a))
        return found

    def step(self, x: np.ndarray, y: np.ndarray, lr: float) -> np.ndarray:
        """One step of DFA on a batch; returns its error, before the step."""
        outputs, before = self.forward(x)
        error = 2 * (before[-1] - y)
        for weight, delta, h in zip(self.weights, self.signals(before, error), outputs, strict=True):
            weight -= lr * delta.T @ h
        return error

    def weight_alignment(self) -> float:
        """One cosine of all layers but the first with F_l F_{l−1}ᵀ, and F_{L−1}ᵀ of the last; F_l as it was drawn."""
        drawn = [f * math.sqrt(len(f)) for f in self.feedback]
        targets = [*(upper @ lower.T for lower, upper in pairwise(drawn)), drawn[-1].T]
        return _cosine(_flat(self.weights[1:]), _flat(targets))

    def gradient_alignment(self, x: np.ndarray, y: np.ndarray) -> float:
        """The mean over samples of one cosine of all hidden layers' δ_l and dL/da_l."""
        _, before = self.forward(x)
        error = 2 * (before[-1] - y)
        sent, true = (
            np.concatenate(part[:-1], 1) for part in (self.signals(before, error), self.gradients(before, error))
        )
        sizes = np.linalg.norm(sent, axis=1) * np.linalg.norm(true, axis=1)
        inner = (sent * true).sum(1)
        return float((inner[sizes > 0] / sizes[sizes > 0]).mean()) if (sizes > 0).any() else 0.0


def correlated_targets(count: int, alpha: float, beta: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian targets ``(count, 2)`` of any inputs, with covariance [[1, α(1−β)], [α(1−β), α²]]."""
    correlation = 1 - beta
    first, second = rng.normal(size=(2, count))
    return np.stack([first, alpha * (correlation * first + math.sqrt(1 - correlation**2) * second)], 1)


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The numbers of an epoch's samples, in batches."""
    order = rng.permutation(count)
    return (order[start : start + size] for start in range(0, count, size))


def _flat(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([part.ravel() for part in parts])


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else 0.0
