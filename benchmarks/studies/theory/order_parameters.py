"""Online learning of a shallow net by order parameters (arXiv:2011.12428, section on shallow networks).

Teacher y = Σ_m A_m g(ρ_m), student ŷ = Σ_k v_k g(λ_k), with ρ_m = B_m x/√N, λ_k = w_k x/√N, g(a) = erf(a/√2) and x
Gaussian, a fresh one in each step. For N → ∞ and t = steps/N, the overlaps Q = w wᵀ/N, R = w Bᵀ/N and v follow

    dR_in/dt = η F_i [Σ_m A_m I3(i, n, m) − Σ_j v_j I3(i, n, j)]
    dQ_ik/dt = η F_i [Σ_m A_m I3(i, k, m) − Σ_j v_j I3(i, k, j)] + the same with i and k exchanged
               + η² F_i F_k [Σ_nm A_n A_m I4(i, k, n, m) − 2 Σ_jn v_j A_n I4(i, k, j, n) + Σ_jl v_j v_l I4(i, k, j, l)]
    dv_i/dt  = η [Σ_n A_n I2(i, n) − Σ_k v_k I2(i, k)]

F is the feedback; with F = v they are backprop's (Saad & Solla 1995, for the integrals). C = [[Q, R], [Rᵀ, T]].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp


@dataclass(frozen=True)
class Teacher:
    """A: second layer ``(M,)``. T: overlaps of the first layer ``(M, M)``."""

    A: np.ndarray
    T: np.ndarray


@dataclass(frozen=True)
class Student:
    """Q ``(K, K)``, R ``(K, M)`` and v ``(K,)`` at one time."""

    Q: np.ndarray
    R: np.ndarray
    v: np.ndarray


def second(c: np.ndarray) -> np.ndarray:
    """I2(a, b) = ⟨g(a) g(b)⟩ for all pairs, ``(n, n)``."""
    size = np.sqrt(1 + np.diag(c))
    return 2 / np.pi * np.arcsin(c / np.outer(size, size))


def third(c: np.ndarray) -> np.ndarray:
    """I3(a, b, c) = ⟨g'(a) b g(c)⟩ for all triples, ``(n, n, n)``."""
    d = 1 + np.diag(c)
    determinant = d[:, None] * d[None, :] - c**2  # Λ3 of (a, c)
    numerator = c[None, :, :] * d[:, None, None] - c[:, :, None] * c[:, None, :]  # C_bc (1 + C_aa) − C_ab C_ac
    return 2 / np.pi * numerator / (np.sqrt(determinant)[:, None, :] * d[:, None, None])


def fourth(c: np.ndarray) -> np.ndarray:
    """I4(a, b, c, d) = ⟨g'(a) g'(b) g(c) g(d)⟩ for all quadruples, ``(n, n, n, n)``."""
    one = 1 + np.diag(c)
    ab = one[:, None] * one[None, :] - c**2  # Λ4
    # Covariances of c and d once a and b are integrated out: Λ4 (δ + C) − what the two explain.
    explained = (
        np.einsum("ac,ad,b->abcd", c, c, one)
        + np.einsum("bc,bd,a->abcd", c, c, one)
        - np.einsum("ab,ac,bd->abcd", c, c, c)
        - np.einsum("ab,bc,ad->abcd", c, c, c)
    )
    mixed = ab[:, :, None, None] * c[None, None] - explained  # Λ0
    own = np.einsum("abcc->abc", explained)
    alone = ab[:, :, None] * one[None, None, :] - own  # Λ1 of c, Λ2 of d
    size = np.sqrt(alone[:, :, :, None] * alone[:, :, None, :])
    angle: np.ndarray = np.arcsin(np.clip(mixed / size, -1, 1))
    return 4 / np.pi**2 * angle / np.sqrt(ab)[:, :, None, None]


def covariance(student: Student, teacher: Teacher) -> np.ndarray:
    """C of the local fields, the student's first, ``(K + M, K + M)``."""
    return np.block([[student.Q, student.R], [student.R.T, teacher.T]])


def generalisation_error(student: Student, teacher: Teacher) -> float:
    """ε_g = ½ ⟨(ŷ − y)²⟩."""
    weights = np.concatenate([student.v, -teacher.A])
    return float(weights @ second(covariance(student, teacher)) @ weights / 2)


def derivative(student: Student, teacher: Teacher, lr: float, feedback: np.ndarray) -> Student:
    """d/dt of the order parameters, as a `Student`."""
    k = len(student.v)
    c = covariance(student, teacher)
    error = np.concatenate([-student.v, teacher.A])  # of y − ŷ over all fields
    drift = third(c)[:k] @ error  # (K, K + M): ⟨g'(i) · field (y − ŷ)⟩
    noise = np.einsum("abcd,c,d->ab", fourth(c)[:k, :k], error, error)
    dQ = feedback[:, None] * drift[:, :k]
    return Student(
        Q=lr * (dQ + dQ.T) + lr**2 * np.outer(feedback, feedback) * noise,
        R=lr * feedback[:, None] * drift[:, k:],
        v=lr * second(c)[:k] @ error,
    )


def integrate(
    start: Student, teacher: Teacher, lr: float, times: Sequence[float], feedback: np.ndarray | None
) -> list[Student]:
    """The order parameters at rising ``times``; ``feedback`` None is backprop.

    Raises:
        RuntimeError: the integrator gave up.
    """
    k, m = start.R.shape

    def unpacked(flat: np.ndarray) -> Student:
        q, r, v = np.split(flat, [k * k, k * k + k * m])
        return Student(q.reshape(k, k), r.reshape(k, m), v)

    def right_side(t: float, flat: np.ndarray) -> np.ndarray:
        student = unpacked(flat)
        return _packed(derivative(student, teacher, lr, student.v if feedback is None else feedback))

    span = (0.0, float(times[-1]))
    found = solve_ivp(right_side, span, _packed(start), t_eval=list(times), method="LSODA", rtol=1e-6, atol=1e-9)
    if not found.success:
        raise RuntimeError(f"the equations could not be integrated: {found.message}")
    return [unpacked(flat) for flat in found.y.T]


def _packed(student: Student) -> np.ndarray:
    return np.concatenate([student.Q.ravel(), student.R.ravel(), student.v])
