"""Online learning of a shallow net by simulation: the same model as `order_parameters`, with weights.

With e = y − ŷ of one fresh Gaussian input x, w_k += (η/√N) F_k g'(λ_k) e x and v_k += (η/N) e g(λ_k).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from benchmarks.studies.theory.order_parameters import Student, Teacher

Function = Callable[[np.ndarray], np.ndarray]
_SLOPE = math.sqrt(2 / math.pi)
#: Activations with their derivatives.
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "erf": (lambda a: erf(a / math.sqrt(2)), lambda a: _SLOPE * np.exp(-(a**2) / 2)),
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float)),
    "linear": (lambda a: a, np.ones_like),
}


@dataclass
class Weights:
    """w ``(copies, K, N)`` and v ``(copies, K)`` of students that learn side by side."""

    w: np.ndarray
    v: np.ndarray

    def student(self, copy: int, teacher_weights: np.ndarray) -> Student:
        """The order parameters of one copy."""
        w, n = self.w[copy], self.w.shape[2]
        return Student(w @ w.T / n, w @ teacher_weights.T / n, self.v[copy].copy())


def draw_teacher(hidden: int, inputs: int, rng: np.random.Generator) -> tuple[np.ndarray, Teacher]:
    """First-layer weights N(0, 1) ``(M, N)`` of a teacher whose second layer is 1, and its order parameters."""
    weights = rng.normal(size=(hidden, inputs))
    return weights, Teacher(np.ones(hidden), weights @ weights.T / inputs)


def draw_students(copies: int, hidden: int, inputs: int, std: float, rng: np.random.Generator) -> Weights:
    """Initial weights N(0, std²) in both layers."""
    return Weights(std * rng.normal(size=(copies, hidden, inputs)), std * rng.normal(size=(copies, hidden)))


def simulate(
    weights: Weights,
    teacher_weights: np.ndarray,
    teacher: Teacher,
    lr: float,
    times: Sequence[float],
    feedback: np.ndarray | None,
    rng: np.random.Generator,
    activation: str = "erf",
) -> list[Weights]:
    """The weights at rising ``times`` (steps/N); every copy sees inputs of its own. ``feedback`` None is backprop."""
    g, slope = ACTIVATIONS[activation]
    copies, _, n = weights.w.shape
    w, v = weights.w.copy(), weights.v.copy()
    found: list[Weights] = []
    step = 0
    for time in times:
        while step < round(time * n):
            x = rng.normal(size=(copies, n))
            local = np.einsum("ckn,cn->ck", w, x) / math.sqrt(n)
            hidden = g(local)
            y = g(x @ teacher_weights.T / math.sqrt(n)) @ teacher.A
            error = y - (v * hidden).sum(1)
            sent = v if feedback is None else feedback
            w += (lr / math.sqrt(n)) * (sent * slope(local) * error[:, None])[:, :, None] * x[:, None, :]
            v += (lr / n) * error[:, None] * hidden
            step += 1
        found.append(Weights(w.copy(), v.copy()))
    return found


def sampled_error(
    weights: Weights, teacher_weights: np.ndarray, teacher: Teacher, rng: np.random.Generator, activation: str = "erf"
) -> np.ndarray:
    """ε_g = ½ ⟨(ŷ − y)²⟩ of each copy on 20,000 fresh inputs, ``(copies,)``."""
    g, _ = ACTIVATIONS[activation]
    n = weights.w.shape[2]
    x = rng.normal(size=(20_000, n))
    y = g(x @ teacher_weights.T / math.sqrt(n)) @ teacher.A
    hidden = g(np.einsum("ckn,in->cik", weights.w, x) / math.sqrt(n))
    return ((np.einsum("cik,ck->ci", hidden, weights.v) - y) ** 2).mean(1) / 2
