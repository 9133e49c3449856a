"""Convolutions cannot align (arXiv:2011.12428): the most that weight sharing allows, and what DFA reaches.

Alignment means that a layer's weights, as a matrix, come to lie along F_l F_{l-1}ᵀ, which has no weights to share. With
kernels of k × k on maps of d × d the largest cosine is k / (d_in d_out) for a convolution, k / d_in where each position
has a kernel of its own, and 1 for any map: the share of the entries that are free, as far as F has independent ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.studies.study import Computation, Conclusion, Done, Findings, Sheet, Study
from benchmarks.studies.verdicts import above, differences, near, single, text
from benchmarks.tables.claims import Claim
from benchmarks.workers.plan import Selection

SHARING = {"conv": "convolution", "local": "locally connected", "dense": "fully connected"}
#: (channels, side of the input, kernel) of the numerical check.
SHAPES = ((8, 14, 4), (4, 8, 3), (6, 10, 5))
_CLASSES = 10
_WEIGHTS = "feedback_weight_cosine/blocks.1"


def bound(side: int, kernel: int, sharing: str) -> float:
    """The largest cosine by the formula, which does not depend on the number of channels."""
    out = side - kernel + 1
    return {"conv": kernel / (side * out), "local": kernel / side, "dense": 1.0}[sharing]


def largest_cosine(channels: int, side: int, kernel: int, sharing: str, draws: int, seed: int) -> list[float]:
    """The cosine of F F'ᵀ with its projection on the matrices that a layer can be, for random F and F'.

    The projection on a linear space is what lies closest to it: entries that share a weight take their mean, entries
    outside of the kernel are zero.
    """
    groups = _groups(channels, side, kernel, sharing)
    inside = groups >= 0
    counts = np.bincount(groups[inside])
    rng = np.random.default_rng(seed)
    out = side - kernel + 1
    found = []
    for _ in range(draws):
        upper = rng.uniform(-1, 1, (channels * out**2, _CLASSES))
        lower = rng.uniform(-1, 1, (channels * side**2, _CLASSES))
        target = upper @ lower.T
        sums = np.bincount(groups[inside], target[inside])
        found.append(float(np.sqrt((sums**2 / counts).sum()) / np.linalg.norm(target)))
    return found


def _groups(channels: int, side: int, kernel: int, sharing: str) -> np.ndarray:
    """Which weight each entry of the matrix (outputs, inputs) is, by number; −1 where there is none."""
    out = side - kernel + 1
    if sharing == "dense":
        return np.arange(channels * out**2 * channels * side**2).reshape(channels * out**2, -1)
    groups = np.full((channels, out, out, channels, side, side), -1)
    kernels = np.arange(channels * channels * kernel**2).reshape(channels, channels, kernel, kernel)
    for row in range(out):
        for column in range(out):
            position = 0 if sharing == "conv" else row * out + column
            own = kernels + position * kernels.size
            groups[:, row, column, :, row : row + kernel, column : column + kernel] = own
    return groups.reshape(channels * out**2, -1)


def _bounds(draws: int) -> list[dict[str, float | int | str]]:
    return [
        {"channels": c, "side": d, "kernel": k, "sharing": sharing, "formula": bound(d, k, sharing),
         "found": float(np.mean(largest_cosine(c, d, k, sharing, draws, seed=0)))}
        for c, d, k in SHAPES
        for sharing in SHARING
    ]  # fmt: skip


_DRAWS = {"smoke": 2, "quick": 10, "long": 20, "paper": 50}
_SEEDS = {"smoke": 1, "quick": 2, "long": 3, "paper": 10}
_EPOCHS = {"smoke": 1, "quick": 3, "long": 5, "paper": 30}
_ROWS = {"smoke": "500", "quick": "5000", "long": "null", "paper": "null"}
_CHANNELS = {"smoke": 3, "quick": 6, "long": 8, "paper": 8}
_KERNEL, _SIDE = 4, 14


def _runs(profile: str) -> Iterator[Selection]:
    width = _CHANNELS[profile]
    for sharing in SHARING:
        model = [
            f"task.model.channels=[{width},{width}]",
            f"task.model.kernel={_KERNEL}",
            "task.model.padding=0",
            "task.model.pool=0",
            "task.model.hidden=0",
            "task.model.batch_norm=false",
            f"task.model.sharing={sharing}",
            f"task.side={_SIDE}",
            f"task.rows={_ROWS[profile]}",
            f"task.epochs={_EPOCHS[profile]}",
            "task.alignment_every=1",
        ]
        yield Selection(profile, ["mnist/cnn"], ["bp", "dfa", "shallow"], range(_SEEDS[profile]), model)


def _accuracy(run: Done) -> float:
    return run.metric("accuracy")


def _weights(run: Done) -> float:
    column = run.column(_WEIGHTS)
    return float(column[-1]) if len(column) else math.nan


def _conclude(findings: Findings) -> Conclusion:
    return Conclusion(list(_claims(findings)), [*_bound_sheet(findings), _sheet(findings)])


def _of(findings: Findings, sharing: str, method: str) -> Findings:
    return findings.where(task__model__sharing=sharing, method__name=method)


def _claims(findings: Findings) -> Iterator[Claim]:
    for one in findings.computed.get("bounds", []):
        found, formula = single(one["found"]), one["formula"]
        if one["sharing"] != "dense":
            yield findings.without_runs().claim(
                f"a {SHARING[one['sharing']]} layer can align by no more than its shared entries allow",
                f"largest cosine, {one['channels']} channels, {one['side']}², kernel {one['kernel']}²",
                found, f"{formula:.4f} ± 5%", near(found, formula, 0.05 * formula),
            )  # fmt: skip
    for less, more in (("conv", "local"), ("local", "dense")):
        gap = differences(_of(findings, more, "dfa"), _of(findings, less, "dfa"), _weights)
        yield findings.claim(
            f"under DFA a {SHARING[less]} layer aligns less than a {SHARING[more]} one",
            "cosine of the second layer's weights and the feedback", gap, "> 0", above(gap, 0),
        )  # fmt: skip
    for sharing, title in SHARING.items():
        gain = differences(_of(findings, sharing, "dfa"), _of(findings, sharing, "shallow"), _accuracy)
        all_of_it = differences(_of(findings, sharing, "bp"), _of(findings, sharing, "shallow"), _accuracy)
        yield findings.claim(
            f"{title}: DFA trains the hidden layers", "test accuracy, dfa − shallow (points)", gain,
            f"> 0; bp − shallow is {text(all_of_it, 1)}", above(gain, 0),
        )  # fmt: skip


def _bound_sheet(findings: Findings) -> Iterator[Sheet]:
    if bounds := findings.computed.get("bounds"):
        rows = [
            [SHARING[one["sharing"]], str(one["channels"]), f"{one['side']}²", f"{one['kernel']}²",
             f"{one['formula']:.4f}", f"{one['found']:.4f}"]
            for one in bounds
        ]  # fmt: skip
        header = ("layer", "channels", "input", "kernel", "formula", "numerically")
        yield Sheet("bounds", "The largest cosine of a layer with F Fᵀ", header, rows)


def _sheet(findings: Findings) -> Sheet:
    rows = []
    for sharing, title in SHARING.items():
        by_method = {method: _of(findings, sharing, method) for method in ("bp", "dfa", "shallow")}
        if all(map(len, by_method.values())):
            side = _SIDE - _KERNEL + 1
            most = bound(side, _KERNEL, sharing)
            dfa = by_method["dfa"]
            rows.append([
                title, dfa.data, *(text(runs.over_seeds(_accuracy), 1) for runs in by_method.values()),
                text(dfa.over_seeds(_weights), 4), f"{most:.4f}",
                text(dfa.over_seeds(lambda run: run.metric("alignment_cosine_mean")), 3), str(len(dfa)),
            ])  # fmt: skip
    header = ("layers", "data", "test % bp", "dfa", "shallow", "weight alignment", "at most", "gradient alignment", "n")
    return Sheet("networks", "One network with three kinds of layers, on MNIST at 14 × 14", header, rows)


STUDY = Study(
    "convolutions",
    "Why convolutions do not align",
    "arXiv:2011.12428, section on convolutional networks",
    _conclude,
    runs=lambda profile: tuple(_runs(profile)),
    computations=lambda profile: (Computation("bounds", 1, {"draws": _DRAWS[profile]}, _bounds),),
    order=50,
)
