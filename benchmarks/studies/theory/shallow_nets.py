"""Shallow nets that learn from a teacher, simulated and by the equations (arXiv:2011.12428): what is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.studies.study import Json
from benchmarks.studies.theory.order_parameters import Student, Teacher, generalisation_error, integrate
from benchmarks.studies.theory.teacher_student import draw_students, draw_teacher, sampled_error, simulate

RATE, _STD = 0.1, 1e-3
FEEDBACK = (1.0, -0.8)


def overlay(inputs: int, until: float, points: int, copies: int) -> Json:
    """ε_g over time, simulated and by the equations from the same initial values: the mean over copies."""
    rng = np.random.default_rng(0)
    teacher_weights, teacher = draw_teacher(2, inputs, rng)
    weights = draw_students(copies, 2, inputs, _STD, rng)
    starts = [weights.student(copy, teacher_weights) for copy in range(copies)]
    times = [float(t) for t in np.geomspace(max(until / 1000, 2 / inputs), until, points)]
    found: dict[str, Any] = {"times": times}
    for name, feedback in (("dfa", np.array(FEEDBACK)), ("bp", None)):
        simulated = simulate(weights, teacher_weights, teacher, RATE, times, feedback, np.random.default_rng(1))
        solved = [integrate(start, teacher, RATE, times, feedback) for start in starts]
        found[name] = {
            "simulated": [
                _mean_error([one.student(copy, teacher_weights) for copy in range(copies)], teacher)
                for one in simulated
            ],
            "solved": [_mean_error(at_one_time, teacher) for at_one_time in zip(*solved, strict=True)],
        }
    return found


def _mean_error(students: Sequence[Student], teacher: Teacher) -> float:
    return float(np.mean([generalisation_error(one, teacher) for one in students]))


def phases(until: float, points: int) -> Json:
    """ε_g and the cosine of v with F over time, from a v that points the other way.

    The first layers overlap as random ones of a thousand inputs do. Without an overlap the teacher's units are the same
    to the student, which then never leaves the place where it has learned their sum: at an ε_g of .012.
    """
    teacher = Teacher(np.ones(2), np.eye(2))
    overlaps = 0.01 * np.random.default_rng(0).normal(size=(2, 2))
    start = Student(0.1 * np.eye(2), overlaps, -0.5 * np.array(FEEDBACK))
    times = [float(t) for t in np.geomspace(0.1, until, points)]
    feedback = np.array(FEEDBACK)
    students = integrate(start, teacher, RATE, times, feedback)
    return {
        "times": times,
        "error": [generalisation_error(one, teacher) for one in students],
        "cosine": [_cosine(one.v, feedback) for one in students],
    }


def signs(inits: int, until: float) -> Json:
    """The final v of students from random initial values, under dfa and backprop."""
    found = []
    for seed in range(inits):
        rng = np.random.default_rng(seed)
        teacher_weights, teacher = draw_teacher(2, 2000, rng)
        start = draw_students(1, 2, 2000, 0.3, rng).student(0, teacher_weights)
        runs = {
            name: integrate(start, teacher, RATE, [until], feedback)[0]
            for name, feedback in (("dfa", np.array(FEEDBACK)), ("bp", None))
        }
        found.append({
            "start": start.v.tolist(),
            **{name: {"v": one.v.tolist(), "error": generalisation_error(one, teacher)} for name, one in runs.items()},
        })  # fmt: skip
    return found


def relu(inputs: int, until: float, copies: int) -> Json:
    """Final ε_g of ReLU students for feedback of right and wrong signs, and of wider ones with random signs."""
    rng = np.random.default_rng(0)
    teacher_weights, teacher = draw_teacher(2, inputs, rng)
    found: dict[str, Any] = {}
    for name, feedback in (("right", [1.0, 0.8]), ("one wrong", [1.0, -0.8]), ("both wrong", [-1.0, -0.8])):
        weights = draw_students(4, 2, inputs, _STD, np.random.default_rng(1))
        end = simulate(weights, teacher_weights, teacher, RATE, [until], np.array(feedback), rng, "relu")[-1]
        found[name] = sampled_error(end, teacher_weights, teacher, rng, "relu").tolist()
    for hidden in (2, 4, 8):
        draws = np.random.default_rng(hidden)
        feedback_of = draws.choice([-1.0, 1.0], size=(copies, hidden))
        weights = draw_students(copies, hidden, inputs, _STD, draws)
        end = simulate(weights, teacher_weights, teacher, RATE, [until], feedback_of, rng, "relu")[-1]
        found[f"{hidden} units"] = {
            "error": sampled_error(end, teacher_weights, teacher, rng, "relu").tolist(),
            "positive": (feedback_of > 0).sum(1).tolist(),
        }
    return found


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else 0.0
