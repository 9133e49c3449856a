"""Learning curves: a panel per metric, a line per method, the mean over seeds and what they span."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.catalogue.metric import LOWER, Metric
from benchmarks.curves.chart import Axis, Chart, Panel, Series, over_seeds, vertices_per_line
from benchmarks.curves.runs import TaskRuns
from benchmarks.records import metrics

#: A quantity that is better when smaller and falls by more than this factor is shown on a logarithmic axis.
LOGARITHMIC_FROM = 20.0


def learning_chart(runs: TaskRuns, axis: Axis, chosen: Sequence[str] = ()) -> Chart | None:
    """The chart of ``chosen`` metrics (default: `default_metrics`); None where no history has one of them.

    Raises:
        ValueError: a metric that `benchmarks.records.metrics` does not know.
    """
    names = list(chosen) or default_metrics(runs)
    most = vertices_per_line(len(names) * len(runs.lines))
    panels = [_panel(runs, axis, metrics.lookup(name), most) for name in names]
    shown = tuple(panel for panel in panels if panel.series)
    if not shown:
        return None
    ends = ["lines end with the shortest run"] if any(one.shortened for panel in shown for one in panel.series) else []
    subtitle = " · ".join([runs.subtitle("mean and range"), *ends, *_without_line(runs)])
    return Chart(runs.name, runs.task, subtitle, axis.label, shown)


def default_metrics(runs: TaskRuns) -> list[str]:
    """The primary metric on the validation split (or all metrics there are on it), and the training loss."""
    primary = f"valid_{runs.primary.removeprefix('valid_')}"
    known = [name for name in runs.columns if name.startswith("valid_") and metrics.is_known(name)]
    valid = [primary] if primary in known else known
    return [*valid, "train_loss"]


def _panel(runs: TaskRuns, axis: Axis, metric: Metric, most: int) -> Panel:
    series = []
    for line in runs.lines:
        curves = [(history.column(axis.column), history.column(metric.name)) for history in line.histories]
        series.append(over_seeds(line.name, line.label(runs.usual), curves, most))
    shown = tuple(one for one in series if one is not None)
    label = f"{metric.title} ({metric.unit})" if metric.unit else metric.title
    return Panel(metric.name, "", label, shown, metric.better == LOWER and _falls_far(shown))


def _falls_far(series: Sequence[Series]) -> bool:
    if not series:
        return False
    low, high = np.min([one.low.min() for one in series]), np.max([one.high.max() for one in series])
    return bool(low > 0 and high / low > LOGARITHMIC_FROM)


def _without_line(runs: TaskRuns) -> list[str]:
    """Methods whose every run ended badly: what a reader would look for in vain."""
    drawn = {line.name for line in runs.lines}
    return [str(remark) for remark in runs.remarks if remark.line not in drawn]
