"""Shallow nets: the integrals against sampling, the equations against the simulation and a case in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import erf

from benchmarks.studies.theory import order_parameters as equations
from benchmarks.studies.theory.order_parameters import Student, Teacher, generalisation_error, integrate
from benchmarks.studies.theory.shallow_nets import phases
from benchmarks.studies.theory.teacher_student import draw_students, draw_teacher, sampled_error, simulate

SAMPLES = 400_000


@pytest.fixture(scope="module")
def fields() -> tuple[np.ndarray, np.ndarray]:
    """A covariance of three fields, and samples of them."""
    root = np.array([[1.0, 0, 0], [0.4, 0.9, 0], [-0.3, 0.2, 1.3]])
    z = np.random.default_rng(0).normal(size=(SAMPLES, 3))
    return root @ root.T, z @ root.T


def g(a):
    return erf(a / math.sqrt(2))


def slope(a):
    return math.sqrt(2 / math.pi) * np.exp(-(a**2) / 2)


def test_the_integrals_are_those_of_the_activations(fields):
    """A wrong sign in one of them gives equations that look right and describe nothing."""
    c, x = fields
    np.testing.assert_allclose(equations.second(c), g(x).T @ g(x) / SAMPLES, atol=4e-3)
    third = np.einsum("sa,sb,sc->abc", slope(x), x, g(x)) / SAMPLES
    np.testing.assert_allclose(equations.third(c), third, atol=5e-3)
    fourth = np.einsum("sa,sb,sc,sd->abcd", slope(x), slope(x), g(x), g(x)) / SAMPLES
    np.testing.assert_allclose(equations.fourth(c), fourth, atol=5e-3)


def test_the_error_is_that_of_the_simulation():
    rng = np.random.default_rng(1)
    teacher_weights, teacher = draw_teacher(2, 50, rng)
    students = draw_students(3, 2, 50, 1.0, rng)
    found = sampled_error(students, teacher_weights, teacher, rng)
    expected = [generalisation_error(students.student(copy, teacher_weights), teacher) for copy in range(3)]
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("feedback", [np.array([1.0, -0.8]), None])
def test_the_equations_describe_the_simulation(feedback):
    """Small N, short time: the fluctuations of 200 inputs are a few per cent."""
    rng = np.random.default_rng(2)
    teacher_weights, teacher = draw_teacher(2, 200, rng)
    start = draw_students(1, 2, 200, 0.3, rng)
    times = [2.0, 8.0]
    simulated = simulate(start, teacher_weights, teacher, 0.2, times, feedback, rng)
    solved = integrate(start.student(0, teacher_weights), teacher, 0.2, times, feedback)
    for ours, theirs in zip(simulated, solved, strict=True):
        student = ours.student(0, teacher_weights)
        assert generalisation_error(student, teacher) == pytest.approx(generalisation_error(theirs, teacher), rel=0.1)
        assert student.v == pytest.approx(theirs.v, abs=0.05)


def test_backprop_cannot_leave_zero_and_dfa_can():
    teacher = Teacher(np.ones(2), np.eye(2))
    zero = Student(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2))
    (bp,) = integrate(zero, teacher, 0.1, [50.0], None)
    (dfa,) = integrate(zero, teacher, 0.1, [50.0], np.array([1.0, -0.8]))
    assert generalisation_error(bp, teacher) == pytest.approx(generalisation_error(zero, teacher))
    assert generalisation_error(dfa, teacher) < 0.1 * generalisation_error(zero, teacher)
    assert np.sign(dfa.v).tolist() == [1, -1]


def test_the_second_phase_ends_in_what_the_teacher_knows():
    """From an exact symmetry of the teacher's units the student never leaves the plateau behind the first phase."""
    found = phases(1500, 30)
    aligned = next(number for number, cosine in enumerate(found["cosine"]) if cosine > 0.9)
    assert 0 < aligned < 20 and found["error"][aligned] > 0.05
    assert 0 < found["error"][-1] < 1e-3


def test_a_student_that_is_the_teacher_stays():
    teacher = Teacher(np.array([1.0, 1.0]), np.eye(2))
    found = equations.derivative(Student(np.eye(2), np.eye(2), np.ones(2)), teacher, 0.1, np.ones(2))
    for part in (found.Q, found.R, found.v):
        np.testing.assert_allclose(part, 0, atol=1e-12)
    assert generalisation_error(Student(np.eye(2), np.eye(2), np.ones(2)), teacher) == pytest.approx(0, abs=1e-12)


def test_a_step_of_the_simulation_is_the_rule():
    """One input, written out."""
    rng = np.random.default_rng(3)
    teacher_weights, teacher = draw_teacher(2, 10, rng)
    start = draw_students(1, 2, 10, 1.0, rng)
    feedback = np.array([0.5, -2.0])
    (end,) = simulate(start, teacher_weights, teacher, 0.3, [0.1], feedback, np.random.default_rng(4))
    x = np.random.default_rng(4).normal(size=10)
    local = start.w[0] @ x / math.sqrt(10)
    error = g(teacher_weights @ x / math.sqrt(10)).sum() - start.v[0] @ g(local)
    np.testing.assert_allclose(
        end.w[0], start.w[0] + 0.3 / math.sqrt(10) * np.outer(feedback * slope(local) * error, x)
    )
    np.testing.assert_allclose(end.v[0], start.v[0] + 0.03 * error * g(local))
