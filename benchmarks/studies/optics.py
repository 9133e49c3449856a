"""The cost of a photonic co-processor's optics (arXiv:2006.01475, 2012.06373).

It takes a ternary error, and reads the projection with noise and few levels. Each is a setting of ``dfa`` here. A trap:
where all errors of a batch lie below the threshold the projection is zero, and whoever scales by its maximum gets NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.studies.study import Conclusion, Done, Findings, Sheet, Study
from benchmarks.studies.verdicts import above, differences, text
from benchmarks.tables.claims import Claim
from benchmarks.workers.plan import Selection

TASKS = {"mnist/mlp": "MNIST, MLP", "citation/gcn_cora": "Cora, GCN"}
#: The largest loss of accuracy that counts as none, in points.
_NONE = {"mnist/mlp": 0.5, "citation/gcn_cora": 1.0}
_THRESHOLDS = (0.05, 0.1, 0.25)


@dataclass(frozen=True)
class Optics:
    """One instrument: what it is called, and its settings beside a ternary error with a threshold of .1."""

    name: str
    settings: dict[str, float | str]

    @property
    def overrides(self) -> list[str]:
        return [f"method.{key}={value}" for key, value in self.settings.items()]


def _ternary(threshold: float = 0.1, **more: float) -> dict[str, float | str]:
    return {"error": "ternary", "threshold": threshold, **more}


INSTRUMENTS = (
    Optics("exact", {"error": "exact"}),
    *(Optics(f"ternary, τ = {threshold:g}", _ternary(threshold)) for threshold in _THRESHOLDS),
    Optics("ternary, noise σ = 0.5", _ternary(noise=0.5)),
    Optics("ternary, noise σ = 1", _ternary(noise=1.0)),
    Optics("ternary, 4 bits", _ternary(bits=4)),
    Optics("ternary, noise σ = 0.5, 8 bits", _ternary(noise=0.5, bits=8)),
)
_SEEDS = {"smoke": 1, "quick": 3, "long": 5, "paper": 10}
#: The perceptron of an independent measurement: 256-256, tanh, all images.
_PERCEPTRON = ["task.model.width=256", "task.model.layers=2"]
_NETWORK: dict[str, dict[str, list[str]]] = {
    "mnist/mlp": {"long": [*_PERCEPTRON, "task.epochs=5"], "paper": [*_PERCEPTRON, "task.epochs=20"]},
}


def _runs(profile: str) -> Iterator[Selection]:
    seeds = range(_SEEDS[profile])
    for task in TASKS:
        network = _NETWORK.get(task, {}).get(profile, [])
        yield Selection(profile, [task], ["bp", "shallow"], seeds, network)
        for one in INSTRUMENTS:
            yield Selection(profile, [task], ["dfa"], seeds, [*network, *one.overrides])


def _accuracy(run: Done) -> float:
    return run.metric("accuracy")


def _of(findings: Findings, task: str, one: Optics) -> Findings:
    defaults = {"error": "exact", "noise": 0.0, "bits": 0}
    settings = {f"method__{key}": value for key, value in {**defaults, **one.settings}.items()}
    return findings.of_task(task).where(method__name="dfa", **settings)


def _conclude(findings: Findings) -> Conclusion:
    return Conclusion(list(_claims(findings)), [_sheet(findings)])


def _claims(findings: Findings) -> Iterator[Claim]:
    for task, title in TASKS.items():
        exact = _of(findings, task, INSTRUMENTS[0])
        for one in INSTRUMENTS[1:]:
            runs = _of(findings, task, one)
            lost = differences(runs, exact, _accuracy)
            bound = -_NONE[task]
            yield runs.claim(
                f"{title}: {one.name} costs no accuracy",
                "accuracy − that of the exact projection (points)",
                lost,
                f"> {bound:g}",
                above(lost, bound),
            )
        shallow = findings.of_task(task).where(method__name="shallow")
        gain = differences(_of(findings, task, INSTRUMENTS[-1]), shallow, _accuracy)
        yield findings.of_task(task).claim(
            f"{title}: the optics train hidden layers", "accuracy with noise and 8 bits − shallow", gain, "> 0",
            above(gain, 0),
        )  # fmt: skip


def _sheet(findings: Findings) -> Sheet:
    rows = []
    for task, title in TASKS.items():
        of_task = findings.of_task(task)
        named = [(method, of_task.where(method__name=method)) for method in ("bp", "shallow")]
        named += [(f"dfa, {one.name}", _of(findings, task, one)) for one in INSTRUMENTS]
        for name, runs in named:
            if len(runs):
                cosine = runs.over_seeds(lambda run: run.metric("alignment_cosine_mean"))
                rows.append(
                    [title, runs.data, name, text(runs.over_seeds(_accuracy), 2), text(cosine, 2), str(len(runs))]
                )
    header = ("task", "data", "training", "test accuracy %", "alignment", "n")
    return Sheet("optics", "What a photonic co-processor's arithmetic costs", header, rows)


STUDY = Study(
    "optics",
    "Ternary errors, noise and few levels",
    "arXiv:2006.01475, 2012.06373",
    _conclude,
    runs=lambda profile: tuple(_runs(profile)),
    order=80,
)
