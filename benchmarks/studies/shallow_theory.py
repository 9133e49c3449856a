"""Shallow nets in theory and simulation (arXiv:2011.12428): two phases, and the feedback chooses the solution.

No network of the suite is trained here: a student learns from a teacher online, once with weights and once by the
equations of its order parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.curves.chart import Chart, Panel
from benchmarks.studies.study import Computation, Conclusion, Findings, Sheet, Study, measured
from benchmarks.studies.theory.shallow_nets import FEEDBACK, RATE, overlay, phases, relu, signs
from benchmarks.studies.verdicts import above, below, line, single, text
from benchmarks.tables.claims import Claim


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


def _computations(profile: str) -> Sequence[Computation]:
    size = _SIZES[profile]
    return (
        Computation("overlay", 2, {"inputs": size.inputs, "until": size.until, "points": 25, "copies": 8}, overlay),
        Computation("phases", 3, {"until": size.long_until, "points": 60}, phases),
        Computation("signs", 1, {"inits": size.inits, "until": size.long_until}, signs),
        Computation("relu", 1, {"inputs": size.relu_inputs, "until": size.relu_until, "copies": size.copies}, relu),
    )


def _conclude(findings: Findings) -> Conclusion:
    claims = [*_overlay_claims(findings), *_phase_claims(findings), *_sign_claims(findings), *_relu_claims(findings)]
    return Conclusion(claims, list(_sheets(findings)), list(_charts(findings)))


def _overlay_claims(findings: Findings) -> Iterator[Claim]:
    found = findings.computed.get("overlay")
    if not found:
        return
    for name in ("dfa", "bp"):
        simulated, solved = (np.array(found[name][key]) for key in ("simulated", "solved"))
        worst = single(float(np.max(abs(simulated - solved) / solved)))  # NaN where either is
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
        agree = [float(np.array_equal(np.sign(one[name]["v"]), np.sign(FEEDBACK))) for one in inits]
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


def _expected(hidden: int) -> float:
    """The probability that two or more of ``hidden`` entries of F are positive: the teacher has two units."""
    return sum(math.comb(hidden, k) for k in range(2, hidden + 1)) / 2**hidden


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
            subtitle=f"two hidden units, erf, F = {FEEDBACK}, rate {RATE}; profile {findings.profile}",
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
