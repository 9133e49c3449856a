"""Narrow layers prevent alignment (arXiv:1906.04554, section 4), as released and as it would be measured cleanly.

The released experiment keeps the middle layer 800 wide and lets a fixed random share b/800 of its gradients through:
those of its weights, so that only so many learn, and that of its input. No feedback enters at that input: the layer
below learns from what comes down through the mask. The clean one has feedback at every layer, a middle one that is
really narrow, and backprop beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.catalogue.reference import Key, published
from benchmarks.curves.chart import Chart, Panel
from benchmarks.studies.study import Conclusion, Done, Findings, Measured, Sheet, Study
from benchmarks.studies.verdicts import above, differences, line, near, rank_correlation, single, text
from benchmarks.tables.claims import Claim
from benchmarks.workers.plan import Selection

#: Published sizes of the bottleneck, of 800.
WIDTHS = (1, 3, 5, 8, 11, 18, 28, 46, 73, 118, 191, 308, 496, 800)
_FULL = 800
_TOLERANCES = {"cosine_bottleneck": 0.05, "train_accuracy": 2.0, "test_accuracy": 1.5}
_ARMS = {"uniform": "standard", "prealigned": "prealigned"}


@dataclass(frozen=True)
class Size:
    """The size of the study at a profile. widths: of the masked layer, of 800; narrow: of the clean experiment."""

    width: int
    rows: str
    epochs: int
    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    narrow: tuple[int, ...]
    repeated: tuple[int, ...] = ()  # widths that run with two more seeds


_SIZES = {
    "smoke": Size(32, "500", 1, (1, 800), (0,), ("uniform", "prealigned"), (2,)),
    "quick": Size(256, "10000", 10, (1, 11, 46, 118, 308, 800), (0,), ("uniform", "prealigned"), (2, 8, 32, 256)),
    "long": Size(800, "null", 50, WIDTHS, (0,), ("uniform",), (), repeated=(1, 28, 191, 800)),
    "paper": Size(800, "null", 50, WIDTHS, (0,), ("uniform", "prealigned"), (1, 11, 46, 191, 800)),
}


def _common(size: Size) -> list[str]:
    """The released settings; the alignment is measured at the end."""
    return [
        f"task.model.width={size.width}",
        "task.model.layers=3",
        "task.model.activation=tanh",
        "task.optim.kind=sgd",
        "task.optim.lr=5e-4",
        "task.hidden_loss=sum",
        "task.valid_share=0.0",
        "task.batch_size=128",
        "task.alignment_samples=128",
        "task.full_batches=true",
        "task.standardise=published",
        f"task.rows={size.rows}",
        f"task.epochs={size.epochs}",
        f"task.eval_every={max(1, size.epochs // 5)}",
    ]


_FEEDBACK = ["method.feedback=shared_gaussian", "method.scaling=width_error"]


def _runs(profile: str) -> Iterator[Selection]:
    size = _SIZES[profile]
    for arm in size.arms:
        for width in size.widths:
            seeds = (*size.seeds, 1, 2) if width in size.repeated else size.seeds
            released = [
                f"task.model.kept_gradient={width / _FULL}",
                f"task.model.initial={arm}",
                "task.model.feedback_below_middle=false",
            ]
            yield Selection(profile, ["cifar10/mlp"], ["dfa"], seeds, [*_common(size), *_FEEDBACK, *released])
    for width in size.narrow:
        narrow = [] if width == size.width else [f"task.model.bottleneck={width}"]
        yield Selection(profile, ["cifar10/mlp"], ["dfa"], size.seeds, [*_common(size), *_FEEDBACK, *narrow])
        yield Selection(profile, ["cifar10/mlp"], ["bp"], size.seeds, [*_common(size), *narrow])


def _conclude(findings: Findings) -> Conclusion:
    released = findings.where(task__model__feedback_below_middle=False)
    claims = [*_published(released), *_general(released)]
    return Conclusion(claims, [_sheet(released), *_narrow_sheet(findings)], list(_charts(released)))


def _of_width(released: Findings, width: int, arm: str = "uniform") -> Findings:
    return released.where(task__model__kept_gradient=width / _FULL, task__model__initial=arm)


def _at(point: str) -> Callable[[Done], float]:
    return lambda run: run.alignment(point)


_bottleneck, _above = _at("hidden.1.point"), _at("hidden.2.point")


def _more_than_above(run: Done) -> float:
    return _bottleneck(run) - _above(run)


_MEASURES = {
    "cosine_bottleneck": _bottleneck,
    "train_accuracy": lambda run: run.metric("train_accuracy"),
    "test_accuracy": lambda run: run.metric("accuracy"),
}


def reference(width: int, arm: str, metric: str) -> float:
    """The number of the released logs; NaN where there is none."""
    found = published().get(Key("studies", "mlp_800x3", "cifar10", f"dfa_{_ARMS[arm]}_b{width}", metric))
    return math.nan if found is None else found.value


def _is_as_published(released: Findings) -> bool:
    """Whether the runs are of the released size, so that their numbers may stand against the log's."""
    return released.data == "real" and all(run.setting("task.model.width") == _FULL for run in released)


def _published(released: Findings) -> Iterator[Claim]:
    """Every number of the released logs, where the runs are the released ones."""
    for width in WIDTHS if _is_as_published(released) else ():
        runs = _of_width(released, width)
        for metric, tolerance in _TOLERANCES.items():
            expected, found = reference(width, "uniform", metric), runs.over_seeds(_MEASURES[metric])
            if len(runs):
                yield released.claim(
                    f"released log, b = {width}", metric, found, f"{expected:g} ± {tolerance:g}",
                    near(found, expected, tolerance),
                )  # fmt: skip


def _general(released: Findings) -> Iterator[Claim]:
    standard = released.where(task__model__initial="uniform")
    widths = [round(kept * _FULL) for kept in standard.values("task.model.kept_gradient")]
    rise, less = (_from_least_to_whole(standard, widths, measure) for measure in (_bottleneck, _more_than_above))
    yield standard.claim(
        "a bottleneck prevents alignment there", f"cosine, widest − b = {widths[0] if widths else '?'}", rise, "> 0.2",
        above(rise, 0.2),
    )  # fmt: skip
    trained = [_of_width(standard, width).over_seeds(_MEASURES["train_accuracy"]).mean for width in widths]
    order = single(rank_correlation(widths, trained))
    claim = "training accuracy rises with the bottleneck's width"
    yield standard.claim(claim, "rank correlation", order, "> 0.95", above(order, 0.95))
    yield standard.claim(
        "the layer above changes less", "rise of the cosine at the bottleneck − above it", less, "> 0", above(less, 0)
    )


def _from_least_to_whole(standard: Findings, widths: Sequence[int], measure: Callable[[Done], float]) -> Measured:
    """The difference between no bottleneck and the narrowest one, seed by seed; none as long as either is missing."""
    if len(widths) < 2 or widths[-1] != _FULL:
        return single(math.nan)
    return differences(_of_width(standard, _FULL), _of_width(standard, widths[0]), measure)


def _sheet(released: Findings) -> Sheet:
    rows = []
    for arm in released.values("task.model.initial"):
        for kept in released.values("task.model.kept_gradient"):
            width = round(kept * _FULL)
            runs = _of_width(released, width, arm)
            if not len(runs):
                continue
            row = [_ARMS[arm], str(width)]
            for metric, decimals in (("train_accuracy", 1), ("test_accuracy", 1), ("cosine_bottleneck", 3)):
                expected = reference(width, arm, metric)
                row += [
                    text(runs.over_seeds(_MEASURES[metric]), decimals),
                    "–" if math.isnan(expected) else f"{expected:g}",
                ]
            rows.append([*row, text(runs.over_seeds(_above), 3), str(len(runs))])
    header = ("arm", "b", "train %", "log", "test %", "log", "cosine at the bottleneck", "log", "above", "n")
    notes = [
        "b: of 800 weights' gradients that pass; log: the released one, one seed, full CIFAR-10, 50 epochs",
        "training accuracy is that of the weights at the end; the log's is a mean over the last epoch's batches",
    ]
    return Sheet(
        "released", "Bottleneck as released: a fixed mask on the middle layer's gradients", header, rows, notes
    )


def _narrow_sheet(findings: Findings) -> Iterator[Sheet]:
    clean = findings.where(task__model__feedback_below_middle=True)
    widths = sorted({run.setting("task.model.bottleneck") or run.setting("task.model.width") for run in clean})
    rows = []
    for width in widths:
        both = [
            Findings(clean.study, clean.profile, tuple(
                run for run in clean.where(method__name=method)
                if (run.setting("task.model.bottleneck") or run.setting("task.model.width")) == width
            ))
            for method in ("dfa", "bp")
        ]  # fmt: skip
        dfa, bp = both
        if len(dfa) and len(bp):
            rows.append([str(width), *(text(one.over_seeds(_MEASURES["test_accuracy"]), 1) for one in (bp, dfa)),
                         text(dfa.over_seeds(_bottleneck), 3)])  # fmt: skip
    if rows:
        header = ("width", "test % bp", "test % dfa", "cosine at the bottleneck")
        yield Sheet("narrow", "A middle layer that is really narrow, with an unmasked reference", header, rows)


def _charts(released: Findings) -> Iterator[Chart]:
    widths = [round(kept * _FULL) for kept in released.values("task.model.kept_gradient")]
    if len(widths) < 2:
        return
    titles = {"cosine_bottleneck": "alignment at the bottleneck", "test_accuracy": "test accuracy (%)"}
    panels = []
    for metric, title in titles.items():
        found = {
            _ARMS[arm]: [_of_width(released, width, arm).over_seeds(_MEASURES[metric]) for width in widths]
            for arm in released.values("task.model.initial")
        }
        if _is_as_published(released):
            found["released log"] = [single(reference(width, "uniform", metric)) for width in widths]
        series = tuple(line(name, widths, values) for name, values in found.items())
        panels.append(Panel(metric, title, "cosine" if metric == "cosine_bottleneck" else "%", series))
    yield Chart(
        name="widths",
        title="Bottleneck: alignment and accuracy by width",
        subtitle=f"CIFAR-10 ({released.data}), tanh, profile {released.profile}; bands: 95% over seeds",
        x_label="bottleneck b, of 800",
        panels=tuple(panels),
        logarithmic=True,
        shaded=True,
        marked=True,
    )


STUDY = Study(
    "bottleneck",
    "Narrow layers prevent alignment",
    "arXiv:1906.04554, section 4",
    _conclude,
    runs=lambda profile: tuple(_runs(profile)),
    order=20,
)
