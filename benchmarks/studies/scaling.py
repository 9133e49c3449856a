"""Scaling laws beyond backprop (arXiv:2210.14593): does DFA ever overtake backprop in compute?

Transformers of several sizes learn WikiText-2. Through loss against compute a power law is fitted for each method, and
the exponents are compared. Those of the source are known from a secondary source alone: they are shown beside ours, and
are no reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.curves.chart import Chart, Panel
from benchmarks.studies.study import Conclusion, Done, Findings, Measured, Sheet, Study, measured
from benchmarks.studies.verdicts import above, below, line, text
from benchmarks.tables.claims import Claim
from benchmarks.workers.plan import Selection

METHODS = ("bp", "dfa", "shallow")
#: (width, layers) by profile.
_SIZES = {
    "smoke": ((16, 1), (32, 2)),
    "quick": ((24, 2), (48, 2), (72, 3), (96, 4)),
    "long": ((32, 2), (64, 2), (96, 3), (128, 4)),
    "paper": ((64, 2), (128, 4), (256, 6), (512, 6)),
}
_EPOCHS = {"smoke": 1, "quick": 1, "long": 2, "paper": 10}
_SEEDS = {"smoke": 1, "quick": 1, "long": 2, "paper": 3}
_SECONDARY = "secondary source: bp −0.071, dfa −0.040, shallow −0.019"


def _runs(profile: str) -> Iterator[Selection]:
    for width, layers in _SIZES[profile]:
        model = [
            f"task.model.width={width}",
            f"task.model.hidden={4 * width}",
            f"task.model.layers={layers}",
            "task.model.heads=2",
            f"task.epochs={_EPOCHS[profile]}",
            "task.alignment_every=0",
            "task.eval_every=1",
        ]
        yield Selection(profile, ["wikitext2/macro"], METHODS, range(_SEEDS[profile]), [*model, "alignment=false"])


def block_parameters(run: Done) -> int:
    """Weights of the blocks: 4 width² of the attention and 8 width² of the feed-forward network, in each."""
    width, hidden = run.setting("task.model.width"), run.setting("task.model.hidden")
    return int(run.setting("task.model.layers") * (4 * width**2 + 2 * width * hidden))


def products(run: Done) -> int:
    """Multiplications of a step in the blocks, per token.

    The forward pass has one per weight, and backprop two more: for the weights' gradients and for the inputs'. With a
    feedback point behind each block DFA is spared little of the last kind, since backprop goes on within a block: the
    input gradients of the attention's 3 width² (query, key, value) alone, and not of the first block's, below which the
    embedding learns. It adds B e, width². Shallow training does not go backward through the blocks at all.
    """
    weights, square = block_parameters(run), run.setting("task.model.width") ** 2
    spared = 3 * square * (run.setting("task.model.layers") - 1)
    by_method = {"bp": 3 * weights, "dfa": 3 * weights - spared + square, "shallow": weights}
    return int(by_method[run.setting("method.name")])


def compute(run: Done) -> float:
    """Multiplications of the training: those of a token × tokens."""
    return products(run) * run.record.samples_per_second * run.record.train_seconds


def loss(run: Done) -> float:
    """Validation loss, nats per token."""
    return math.log(run.metric("valid_perplexity"))


def exponent(runs: Sequence[Done]) -> float:
    """The slope of ln(loss) over ln(compute); NaN of fewer than two sizes."""
    if len(_widths(runs)) < 2:
        return math.nan
    points = np.array([(math.log(compute(run)), math.log(loss(run))) for run in runs])
    return float(np.polyfit(points[:, 0], points[:, 1], 1)[0])


def _widths(runs: Iterable[Done]) -> set[int]:
    return {run.setting("task.model.width") for run in runs}


def exponent_of(findings: Findings, method: str) -> float:
    """The exponent of one method."""
    return exponent(findings.where(method__name=method).runs)


def by_seed(findings: Findings, measure: Callable[[Findings], float]) -> Measured:
    """The mean of a measure of the runs of each seed, with an interval over seeds where there are several.

    A line through other sizes is another line: seeds that lack a run which another one has are left out.
    """

    def cells(runs: Findings) -> set[tuple[str, int]]:
        return {(run.setting("method.name"), run.setting("task.model.width")) for run in runs}

    seeds = [findings.where(seed=seed) for seed in findings.values("seed")]
    return measured((measure(runs) for runs in seeds if cells(runs) == cells(findings)), findings.study)


def _conclude(findings: Findings) -> Conclusion:
    findings = replace(findings, runs=tuple(run for run in findings if math.isfinite(loss(run))))
    exponents = {method: by_seed(findings, partial(exponent_of, method=method)) for method in METHODS}
    return Conclusion(list(_claims(findings, exponents)), [_sheet(findings, exponents)], list(_charts(findings)))


def _claims(findings: Findings, exponents: dict[str, Measured]) -> Iterator[Claim]:
    bp = exponents["bp"]
    yield findings.claim(
        "backprop's own curve is not flat: data do not limit it", "exponent of bp", bp, "< −0.01", below(bp, -0.01)
    )
    for steeper, flatter in (("bp", "dfa"), ("dfa", "shallow")):
        gap = by_seed(findings, partial(gap_between, steeper=steeper, flatter=flatter))
        yield findings.claim(
            f"loss falls faster with compute under {steeper} than under {flatter}",
            f"exponent of {flatter} − exponent of {steeper}", gap, f"> 0; {_SECONDARY}", above(gap, 0),
        )  # fmt: skip
    gap = by_seed(findings, partial(gap_between, steeper="bp", flatter="dfa", largest=2))
    yield findings.claim(
        "loss falls faster with compute under bp than under dfa between the two largest networks",
        "exponent of dfa − exponent of bp, of these two", gap, "> 0", above(gap, 0),
    )  # fmt: skip
    worst = by_seed(findings, smallest_excess)
    yield findings.claim(
        "DFA never overtakes backprop, its cheaper step included", "least loss of dfa above bp's curve (nats)", worst,
        "> 0", above(worst, 0),
    )  # fmt: skip


def gap_between(findings: Findings, steeper: str, flatter: str, largest: int = 0) -> float:
    """By how much the exponent of one method is larger, that is flatter, than that of another, at sizes of both.

    Of these sizes the ``largest`` few are taken; 0: all.
    """
    sides = [findings.where(method__name=method).runs for method in (flatter, steeper)]
    common = sorted(_widths(sides[0]) & _widths(sides[1]))[-largest:]
    flat, steep = (exponent([run for run in runs if run.setting("task.model.width") in common]) for runs in sides)
    return flat - steep


def smallest_excess(findings: Findings) -> float:
    """The least that a run of dfa lies above the line through backprop's, at its own compute; NaN without a line."""
    bp, dfa = ([run for run in findings.where(method__name=method)] for method in ("bp", "dfa"))
    if len(_widths(bp)) < 2 or not dfa:
        return math.nan
    slope, offset = np.polyfit([math.log(compute(r)) for r in bp], [math.log(loss(r)) for r in bp], 1)
    return min(loss(run) - math.exp(offset + slope * math.log(compute(run))) for run in dfa)


def _sizes(findings: Findings) -> list[int]:
    return sorted({block_parameters(run) for run in findings})


def _sheet(findings: Findings, exponents: dict[str, Measured]) -> Sheet:
    rows = []
    for size in _sizes(findings):
        for method in METHODS:
            runs = [run for run in findings.where(method__name=method) if block_parameters(run) == size]
            if runs:
                losses = measured(map(loss, runs), findings.study)
                rows.append([f"{size:,}", method, f"{compute(runs[0]):.2e}", text(losses, 3), str(len(runs))])
    notes = [f"exponent of {method}: {text(found, 3)}" for method, found in exponents.items()]
    header = ("weights in blocks", "training", "multiplications", "validation loss (nats)", "n")
    return Sheet("sizes", "Loss and compute by size", header, rows, notes)


def _charts(findings: Findings) -> Iterator[Chart]:
    series = []
    for method in METHODS:
        by_size = [
            [run for run in findings.where(method__name=method) if block_parameters(run) == size]
            for size in _sizes(findings)
        ]
        known = [runs for runs in by_size if runs]
        if known:
            places = [compute(runs[0]) for runs in known]
            series.append(line(method, places, [measured(map(loss, runs), findings.study) for runs in known]))
    if series and len(series[0].x) > 1:
        panel = Panel("loss", "validation loss", "nats per token", tuple(series), logarithmic=True)
        yield Chart(
            name="loss",
            title="Loss against compute",
            subtitle=f"Transformer, macro, WikiText-2 ({findings.data}), profile {findings.profile}",
            x_label="multiplications of the training",
            panels=(panel,),
            logarithmic=True,
            marked=True,
        )


STUDY = Study(
    "scaling",
    "Scaling: loss against compute",
    "arXiv:2210.14593",
    _conclude,
    runs=lambda profile: tuple(_runs(profile)),
    order=70,
)
