"""The tables and figures of the study `deep_nets`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.curves.chart import Chart, Panel
from benchmarks.studies.stacked_runs import last, line_of
from benchmarks.studies.study import Done, Findings, Sheet
from benchmarks.studies.verdicts import text

#: Columns of the runs' histories.
WEIGHTS, SIGNALS, SEEDS = "feedback_weight_cosine/total", "preactivation_cosine", "seed_cosine"


def sheets(findings: Findings, dynamics: Findings) -> Iterator[Sheet]:
    """Tables: what seeds share in the end, run by run; conditioning and alignment of the linear nets."""
    rows = []
    for run in _in_order(dynamics):
        values = [text(last(run, name), 3) for name in (SEEDS, WEIGHTS, SIGNALS)]
        rows.append([
            run.record.dataset, str(run.setting("task.model.activation")), run.record.method,
            f"{run.metric('train_accuracy'):.1f}", f"{run.metric('accuracy'):.1f}", *values,
        ])  # fmt: skip
    header = ("data", "activation", "training", "train %", "test %", "seeds' cosine", "weights", "gradients")
    yield Sheet("degeneracy", "Several seeds with the same feedback: what they share in the end", header, rows)
    if nets := findings.computed.get("linear"):
        rows = [
            [f"{net['alpha']:g}", f"{net['beta']:g}", *(f"{c:.2f}" for c in net["conditions"]),
             f"{net['weights']:.3f}", f"{net['gradients']:.3f}", f"{net['error']:.1e}"]
            for net in nets
        ]  # fmt: skip
        columns = ("α", "β", "cond A₂", "cond A₃", "weights", "gradients", "off the recursion")
        yield Sheet("linear", "Linear nets from zero weights: conditioning and alignment", columns, rows)


def charts(runs: Findings) -> Iterator[Chart]:
    """The cosines over the epochs, in a panel each."""
    titles = {SEEDS: "cosine between seeds", SIGNALS: "gradient alignment", WEIGHTS: "weight alignment"}
    panels = []
    for name, title in titles.items():
        lines = [line_of(run, name, f"{run.setting('task.model.activation')}, {run.record.method}")
                 for run in _in_order(runs) if run.record.dataset == "mnist"]  # fmt: skip
        if known := tuple(line for line in lines if line is not None):
            panels.append(Panel(name, title, "cosine", known))
    if panels:
        yield _chart("dynamics", "Align, then memorise: several seeds, one feedback", panels, runs)


def noise_charts(noisy: Findings) -> Iterator[Chart]:
    """The same by the share of labels that are redrawn; the runs have one number of images."""
    panels = []
    for name, title in ((SIGNALS, "gradient alignment"), (WEIGHTS, "weight alignment")):
        lines = [line_of(run, name, f"{run.setting('task.label_noise'):.0%} of the labels redrawn")
                 for run in sorted(noisy, key=lambda run: run.setting("task.label_noise"))]  # fmt: skip
        if known := tuple(line for line in lines if line is not None):
            panels.append(Panel(name, title, "cosine", known))
    if panels:
        yield _chart("noise", "Label noise delays alignment", panels, noisy)


def _in_order(runs: Findings) -> list[Done]:
    return sorted(runs, key=lambda run: (run.record.dataset, run.setting("task.model.activation"), run.record.method))


def images(rows: int | None) -> str:
    """How many images a run of ``task.rows`` learns from, in words."""
    return f"{rows:,} images" if rows else "all images"


def _chart(name: str, title: str, panels: Sequence[Panel], runs: Findings) -> Chart:
    count = images(runs.runs[0].setting("task.rows"))
    nets = f"{count} of MNIST at 14 × 14 ({runs.data}), 2 hidden layers of 64"
    return Chart(
        name=name,
        title=title,
        subtitle=f"{nets}, profile {runs.profile}; bands: 95%, seeds",
        x_label="epochs",
        panels=tuple(panels),
        logarithmic=True,
        shaded=True,
    )
