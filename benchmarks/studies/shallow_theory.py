"""Shallow nets in theory and simulation (arXiv:2011.12428): two phases, and the feedback chooses the solution.

No network of the suite is trained here: a student learns from a teacher online, once with weights and once by the
equations of its order parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.curves.chart import Chart, Panel
from benchmarks.studies.study import Computation, Conclusion, Findings, Json, Sheet, Study, measured
from benchmarks.studies.tell import above, below, line, single, text
from benchmarks.studies.theory.order_parameters import Student, Teacher, generalisation_error, integrate
from benchmarks.studies.theory.teacher_student import draw_students, draw_teacher, sampled_error, simulate
from benchmarks.tables.claims import Claim

_RATE, _STD = 0.1, 1e-3
_FEEDBACK = (1.0, -0.8)


@dataclass(frozen=True)
class Size:
    """The size at a profile. inputs: N; until: the last time; inits: initial values; relu_until: of the simulations."""

    inputs: int
    until: float
    inits: int
    long_until: float
    relu_inputs: int
    relu_until: float
    copies: int


_SIZES = {
    "smoke": Size(60, 3, 3, 20, 30, 5, 4),
    "quick": Size(200, 200, 8, 1000, 100, 100, 10),
    "long": Size(500, 600, 20, 1500, 200, 300, 40),
    "paper": Size(1000, 1000, 20, 3000, 500, 1000, 100),
}


def overlay(inputs: int, until: float, points: int, copies: int) -> Json:
    """ε_g over time, simulated and by the equations from the same initial values: the mean over copies."""
    rng = np.random.default_rng(0)
    teacher_weights, teacher = draw_teacher(2, inputs, rng)
    weights = draw_students(copies, 2, inputs, _STD, rng)
    starts = [weights.student(copy, teacher_weights) for copy in range(copies)]
    times = [float(t) for t in np.geomspace(max(until / 1000, 2 / inputs), until, points)]
    found: dict[str, Any] = {"times": times}
    for name, feedback in (("dfa", np.array(_FEEDBACK)), ("bp", None)):
        simulated = simulate(weights, teacher_weights, teacher, _RATE, times, feedback, np.random.default_rng(1))
        solved = [integrate(start, teacher, _RATE, times, feedback) for start in starts]
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
    """ε_g and the cosine of v with F over time, from a v that points the other way."""
    teacher = Teacher(np.ones(2), np.eye(2))
    start = Student(0.1 * np.eye(2), np.zeros((2, 2)), -0.5 * np.array(_FEEDBACK))
    times = [float(t) for t in np.geomspace(0.1, until, points)]
    feedback = np.array(_FEEDBACK)
    students = integrate(start, teacher, _RATE, times, feedback)
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
            name: integrate(start, teacher, _RATE, [until], feedback)[0]
            for name, feedback in (("dfa", np.array(_FEEDBACK)), ("bp", None))
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
        end = simulate(weights, teacher_weights, teacher, _RATE, [until], np.array(feedback), rng, "relu")[-1]
        found[name] = sampled_error(end, teacher_weights, teacher, rng, "relu").tolist()
    for hidden in (2, 4, 8):
        draws = np.random.default_rng(hidden)
        feedback_of = draws.choice([-1.0, 1.0], size=(copies, hidden))
        weights = draw_students(copies, hidden, inputs, _STD, draws)
        end = simulate(weights, teacher_weights, teacher, _RATE, [until], feedback_of, rng, "relu")[-1]
        found[f"{hidden} units"] = {
            "error": sampled_error(end, teacher_weights, teacher, rng, "relu").tolist(),
            "positive": (feedback_of > 0).sum(1).tolist(),
        }
    return found


def _computations(profile: str) -> Sequence[Computation]:
    size = _SIZES[profile]
    return (
        Computation("overlay", 2, {"inputs": size.inputs, "until": size.until, "points": 25, "copies": 8}, overlay),
        Computation("phases", 2, {"until": size.long_until, "points": 60}, phases),
        Computation("signs", 1, {"inits": size.inits, "until": size.long_until}, signs),
        Computation("relu", 1, {"inputs": size.relu_inputs, "until": size.relu_until, "copies": size.copies}, relu),
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else 0.0


def _conclude(findings: Findings) -> Conclusion:
    claims = [*_overlay_claims(findings), *_phase_claims(findings), *_sign_claims(findings), *_relu_claims(findings)]
    return Conclusion(claims, list(_sheets(findings)), list(_charts(findings)))


def _overlay_claims(findings: Findings) -> Iterator[Claim]:
    found = findings.computed.get("overlay")
    if not found:
        return
    for name in ("dfa", "bp"):
        pairs = zip(found[name]["simulated"], found[name]["solved"], strict=True)
        worst = single(max(abs(a - b) / b for a, b in pairs))
        yield findings.claim(
            f"the equations describe the simulation ({name})", "largest relative difference of ε_g", worst, "≤ 0.03",
            below(worst, 0.03),
        )  # fmt: skip


def _phase_claims(findings: Findings) -> Iterator[Claim]:
    found = findings.computed.get("phases")
    if not found:
        return
    error, cosine = np.array(found["error"]), np.array(found["cosine"])
    aligned = int((cosine > 0.9).argmax()) if (cosine > 0.9).any() else len(cosine) - 1
    rest = single(float(error[aligned] / error[-1]))
    yield findings.claim(
        "first alignment, then memorisation", "ε_g when v has a cosine of .9 with F ÷ ε_g in the end", rest, "> 10",
        above(rest, 10),
    )  # fmt: skip
    plateau = single(float(cosine[-1]))
    yield findings.claim("v ends along F", "cosine of v and F in the end", plateau, "> 0.9", above(plateau, 0.9))


def _sign_claims(findings: Findings) -> Iterator[Claim]:
    inits = findings.computed.get("signs", [])
    for name, claim, shown in (
        ("dfa", "under DFA the signs of v follow F, whatever the initial values", 1.0),
        ("bp", "under backprop they do not", None),
    ):
        agree = [float(np.array_equal(np.sign(one[name]["v"]), np.sign(_FEEDBACK))) for one in inits]
        share = single(float(np.mean(agree)) if agree else math.nan)._replace(n=len(agree))
        quantity = f"share of initial values with the signs of F, {name}"
        told = None if not agree else (share.mean == 1.0 if shown else share.mean < 1.0)
        yield findings.claim(claim, quantity, share, "1" if shown else "< 1", told)


def _relu_claims(findings: Findings) -> Iterator[Claim]:
    found = findings.computed.get("relu")
    if not found:
        return
    right, wrong = measured(found["right"]), measured(found["one wrong"])
    ratio = single(wrong.mean / right.mean)
    yield findings.claim(
        "ReLU: feedback of the wrong sign makes a student fail", "ε_g with one wrong sign ÷ with none", ratio, "> 2",
        above(ratio, 2),
    )  # fmt: skip
    shares = {hidden: _success(found[f"{hidden} units"], right.mean) for hidden in (2, 8)}
    gain = single(shares[8] - shares[2])
    yield findings.claim(
        "ReLU: more units rescue it", "share of random feedback that succeeds, 8 units − 2 units", gain,
        f"> 0.3; expected {_expected(8) - _expected(2):.2f}", above(gain, 0.3),
    )  # fmt: skip


def _success(found: dict[str, list[float]], right: float) -> float:
    """The share of the copies that end within twice the error of feedback of the right signs."""
    return float(np.mean(np.array(found["error"]) < 2 * right))


def _expected(hidden: int, needed: int = 2) -> float:
    """The probability that at least as many entries of F are positive as the teacher has units."""
    return sum(math.comb(hidden, k) for k in range(needed, hidden + 1)) / 2**hidden


def _sheets(findings: Findings) -> Iterator[Sheet]:
    if found := findings.computed.get("relu"):
        rows = [[name, text(measured(found[name]), 4), "–", "–"] for name in ("right", "one wrong", "both wrong")]
        right = measured(found["right"]).mean
        for hidden in (2, 4, 8):
            one = found[f"{hidden} units"]
            shares = (f"{share:.2f}" for share in (_success(one, right), _expected(hidden)))
            rows.append([f"random signs, {hidden} units", text(measured(one["error"]), 4), *shares])
        header = ("feedback", "ε_g in the end", "succeeds", "at least two positive signs")
        yield Sheet("relu", "ReLU students of a teacher with two units", header, rows)


def _charts(findings: Findings) -> Iterator[Chart]:
    panels = []
    if found := findings.computed.get("overlay"):
        times = found["times"]
        series = tuple(
            line(f"{name}, {kind}", times, [single(value) for value in found[name][key]])
            for name in ("dfa", "bp")
            for kind, key in (("simulation", "simulated"), ("equations", "solved"))
        )
        panels.append(Panel("error", "generalisation error", "ε_g", series, logarithmic=True))
    if found := findings.computed.get("phases"):
        series = (line("cosine of v and F", found["times"], [single(value) for value in found["cosine"]]),)
        panels.append(Panel("phases", "dfa, from a v along −F", "cosine", series))
    if panels:
        yield Chart(
            name="overlay",
            title="Shallow nets: simulation and equations",
            subtitle=f"two hidden units, erf, F = {_FEEDBACK}, rate {_RATE}; profile {findings.profile}",
            x_label="time (steps / N)",
            panels=tuple(panels),
            logarithmic=True,
            shaded=True,
        )


STUDY = Study(
    "shallow_theory",
    "Align, then memorise: shallow nets",
    "arXiv:2011.12428",
    _conclude,
    computations=_computations,
    order=30,
)
