"""Align, then memorise, in deep nets (arXiv:2011.12428): degeneracy breaking, label noise, order, data structure.

Ten nets of 2 hidden layers of 64 share their feedback and nothing else. Under DFA their weights come to lie along each
other, under backprop they do not: of all solutions DFA takes the one that aligns with its feedback.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.studies.deep_nets_figures import SEEDS, SIGNALS, WEIGHTS, charts, images, noise_charts, sheets
from benchmarks.studies.stacked_runs import at_epoch, last
from benchmarks.studies.study import Computation, Conclusion, Done, Findings, Study, measured
from benchmarks.studies.theory.alignment_matrices import linear_grid, structure_grid
from benchmarks.studies.verdicts import above, below, rank_correlation, single
from benchmarks.tables.claims import Claim
from benchmarks.workers.plan import Selection

ACTIVATIONS = ("relu", "tanh")
NOISES = (0.0, 0.1, 0.2, 0.5, 0.9)
#: Cosine between seeds in the end that DFA is held to: after 300 epochs, as an independent run measured, and before.
_SHARED = {"long": {"relu": 0.55, "tanh": 0.70}, "paper": {"relu": 0.55, "tanh": 0.70}}
_SHARED_EARLY = {"relu": 0.2, "tanh": 0.2}
_FEEDBACK = ["method.feedback=uniform", "method.scaling=width"]
#: Epochs from which on a decline, or what noise does in the end, can be seen.
_LATE, _NOISE_LATE = 100, 50
_SIX = 5  # hidden layers of the net whose layers' order is looked at


@dataclass(frozen=True)
class Size:
    """The size at a profile."""

    copies: int
    rows: str
    epochs: int
    noise_rows: tuple[str, ...]
    noise_epochs: int
    datasets: tuple[str, ...]
    grid: tuple[tuple[float, float], ...]
    linear_epochs: int
    grid_epochs: int
    seeds: int


_CORNERS = ((0.2, 0.2), (0.2, 1.0), (1.0, 0.2), (1.0, 1.0))
_NINE = tuple((a, b) for a in (0.2, 0.6, 1.0) for b in (0.2, 0.6, 1.0))
_SIZES = {
    "smoke": Size(3, "600", 2, ("600",), 2, ("mnist",), ((0.2, 0.2), (1.0, 1.0)), 2, 2, 1),
    "quick": Size(5, "10000", 12, ("10000",), 12, ("mnist",), _CORNERS, 600, 60, 1),
    "long": Size(10, "null", 300, ("10000", "null"), 50, ("mnist",), _NINE, 600, 1500, 2),
    "paper": Size(10, "null", 1000, ("null",), 1000, ("mnist", "cifar10"), _NINE, 10_000, 10_000, 10),
}


def _runs(profile: str) -> Iterator[Selection]:
    size = _SIZES[profile]
    common, rows = ["feedback_seed=0", f"task.model.copies={size.copies}"], f"task.rows={size.rows}"
    for dataset in size.datasets:
        for activation in ACTIVATIONS:
            own = [*common, rows, f"task.model.activation={activation}", f"task.epochs={size.epochs}"]
            yield Selection(profile, [f"{dataset}/mlp_seeds"], ["dfa"], (0,), [*own, *_FEEDBACK])
            yield Selection(profile, [f"{dataset}/mlp_seeds"], ["bp"], (0,), own)
    for noise, noisy in product(NOISES, size.noise_rows):
        own = [f"task.rows={noisy}", f"task.label_noise={noise}", f"task.epochs={size.noise_epochs}"]
        yield Selection(profile, ["mnist/mlp_seeds"], ["dfa"], (1,), [*common, *_FEEDBACK, *own])
    deep = [f"task.model.layers={_SIX}", "task.model.width=100", "task.model.activation=tanh", "task.rows=3200"]
    clock = ["task.epochs=null", "task.steps=400", "task.eval_every=20"]
    yield Selection(profile, ["mnist/mlp_seeds"], ["dfa"], (0,), [*common, *_FEEDBACK, *deep, *clock])


def _computations(profile: str) -> Sequence[Computation]:
    """The grids of arXiv:2011.12428: its printed runs have 16 inputs, its released jobs 9; `structure` here has 10."""
    size = _SIZES[profile]
    grid = [list(pair) for pair in size.grid]
    linear = {"grid": grid, "dims": 16, "width": 100, "layers": 3, "lr": 1e-4, "epochs": size.linear_epochs,
              "seeds": size.seeds}  # fmt: skip
    structure = {"grid": grid, "activations": list(ACTIVATIONS), "dims": 10, "width": 100, "lr": 1e-3,
                 "epochs": size.grid_epochs, "seeds": size.seeds}  # fmt: skip
    return (
        Computation("linear", 3, linear, linear_grid),
        Computation("linear_of_four", 3, {**linear, "grid": grid[-1:], "layers": 4}, linear_grid),
        Computation("structure", 3, structure, structure_grid),
    )


def _conclude(findings: Findings) -> Conclusion:
    dynamics = Findings(findings.study, findings.profile, tuple(run for run in findings if run.record.seed == 0))
    two_layers = dynamics.where(task__model__layers=2)
    noisy = Findings(findings.study, findings.profile, tuple(run for run in findings if run.record.seed == 1))
    claims = [
        *_seeds_claims(two_layers),
        *_decline_claims(two_layers),
        *(claim for part in _by_rows(noisy) for claim in _noise_claims(part)),
        *_order_claims(dynamics.where(task__model__layers=_SIX)),
        *_linear_claims(findings.without_runs()),
        *_structure_claims(findings.without_runs()),
    ]
    noise = [chart for part in _by_rows(noisy)[:1] for chart in noise_charts(part)]
    return Conclusion(claims, list(sheets(findings, two_layers)), [*charts(two_layers), *noise])


def _by_rows(findings: Findings) -> list[Findings]:
    """The runs on some of the images, then those on all of them: a share of labels is more labels there."""
    rows = sorted({run.setting("task.rows") for run in findings}, key=lambda count: count or math.inf)
    return [findings.where(task__rows=count) for count in rows]


def _only(findings: Findings, **settings: object) -> Done | None:
    """The one run with these settings."""
    runs = findings.where(**settings).runs
    return runs[0] if runs else None


# Claims -------------------------------------------------------------------------------------------------------------


def _seeds_claims(runs: Findings) -> Iterator[Claim]:
    for dataset in sorted({run.record.dataset for run in runs}):
        for activation in ACTIVATIONS:
            of_one = runs.of_task(f"{dataset}/mlp_seeds").where(task__model__activation=activation)
            bound = _SHARED.get(runs.profile, _SHARED_EARLY)[activation]
            dfa, bp = (_only(of_one, method__name=method) for method in ("dfa", "bp"))
            if dfa is None or bp is None:
                continue
            found, other = last(dfa, SEEDS), last(bp, SEEDS)
            yield of_one.claim(
                f"{dataset}, {activation}: DFA leads all seeds to one solution", "cosine between seeds, dfa", found,
                f"≥ {bound:g}", above(found, bound),
            )  # fmt: skip
            yield of_one.claim(
                f"{dataset}, {activation}: backprop does not", "cosine between seeds, bp", other, "within ± 0.05",
                None if math.isnan(other.mean) else abs(other.mean) <= 0.05,
            )  # fmt: skip


def _decline_claims(runs: Findings) -> Iterator[Claim]:
    """Alignment rises, peaks and declines: its largest value lies within the training, and the last one below it."""
    for activation in ACTIVATIONS:
        run = _only(runs.of_task("mnist/mlp_seeds"), task__model__activation=activation, method__name="dfa")
        for name, title in ((WEIGHTS, "weight"), (SIGNALS, "gradient")):
            values = np.empty(0) if run is None else run.column(name)
            values = values[np.isfinite(values)]
            fall = single(float(values.max() - values[-1]) if len(values) > 2 else math.nan)
            yield runs.claim(
                f"{activation}: total {title} alignment rises, peaks and declines", "its peak − its last value", fall,
                "> 0.005", above(fall, 0.005) if _epochs(run) >= _LATE else None,
            )  # fmt: skip


def _epochs(run: Done | None) -> float:
    """How many epochs a run has trained."""
    return float(run.column("epoch")[-1]) if run is not None and len(run.column("epoch")) else 0.0


def _noise_claims(noisy: Findings) -> Iterator[Claim]:
    clean, worst = (_only(noisy, task__label_noise=noise) for noise in (0.0, 0.9))
    if clean is None or worst is None or not _epochs(clean):
        return
    epochs, which = int(_epochs(clean)), images(clean.setting("task.rows"))
    for epoch, bound, claim, early in (
        (1, 0.1, f"{which}: label noise delays alignment", True),
        (epochs, 0.9, f"{which}: and does not lower it in the end", False),
    ):
        ratio = single(at_epoch(worst, SIGNALS, epoch) / at_epoch(clean, SIGNALS, epoch))
        quantity = f"gradient alignment with 90% noise ÷ without, after epoch {epoch}"
        late = above(ratio, bound) if epochs >= _NOISE_LATE else None
        shown = below(ratio, bound) if early else late
        yield noisy.claim(claim, quantity, ratio, f"{'<' if early else '≥'} {bound:g}", shown)


def _order_claims(runs: Findings) -> Iterator[Claim]:
    run = runs.runs[0] if len(runs) else None
    shares = np.empty(0) if run is None else run.column("bottom_first")
    middle = single(float(shares[len(shares) // 2]) if len(shares) else math.nan)
    yield runs.claim(
        "layers align from bottom to top", "share of seeds in which hidden layers 2 to 5 align in this order, half way",
        middle._replace(n=int(run.setting("task.model.copies")) if run else 0), "≥ 0.9",
        None if math.isnan(middle.mean) else middle.mean >= 0.9,
    )  # fmt: skip


def _linear_claims(findings: Findings) -> Iterator[Claim]:
    nets = [*findings.computed.get("linear", []), *findings.computed.get("linear_of_four", [])]
    worst = single(float(np.max([net["error"] for net in nets])) if nets else math.nan)  # NaN of a net that diverged
    yield findings.claim(
        "linear nets from zero weights keep the form F A Fᵀ", "distance of the weights from the recursion", worst,
        "≤ 1e-10", below(worst, 1e-10),
    )  # fmt: skip
    grid = findings.computed.get("linear", [])
    order = single(rank_correlation([max(net["conditions"]) for net in grid], [net["gradients"] for net in grid]))
    yield findings.claim(
        "the better conditioned the alignment matrices, the better the alignment",
        "rank correlation of condition number and gradient alignment", order._replace(n=len(grid)), "< −0.5",
        below(order, -0.5),
    )  # fmt: skip


def _structure_claims(findings: Findings) -> Iterator[Claim]:
    nets = findings.computed.get("structure", [])
    for activation in ACTIVATIONS:
        isotropic, correlated = (
            {net["seed"]: net["gradients"] for net in nets
             if net["activation"] == activation and net["alpha"] == net["beta"] == corner}
            for corner in (1.0, 0.2)
        )  # fmt: skip
        seeds = sorted(isotropic.keys() & correlated.keys())
        gap = measured([isotropic[seed] - correlated[seed] for seed in seeds], findings.study)
        yield findings.claim(
            f"{activation}: correlated targets hinder alignment", "gradient alignment at α = β = 1 minus at α = β = .2",
            gap, "> 0", above(gap, 0),
        )  # fmt: skip


STUDY = Study(
    "deep_nets",
    "Align, then memorise: deep nets",
    "arXiv:2011.12428",
    _conclude,
    runs=lambda profile: tuple(_runs(profile)),
    computations=_computations,
    order=40,
)
