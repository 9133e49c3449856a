"""The trend as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from benchmarks.history.baseline_snapshot import BaselineSnapshot
from benchmarks.history.trend import DRIFT, Trend

NOTE = (
    "* tasks, settings or data differ from the snapshot before; changes are counted from there on.\n"
    "drift: further than one snapshot may move unnoticed, though no single snapshot was."
)


def table(snapshots: Sequence[BaselineSnapshot], found: Sequence[Trend], last: int) -> str:
    """Quality by architecture and method, then time relative to backprop, over the ``last`` snapshots."""
    shown = range(max(0, len(snapshots) - last), len(snapshots))
    head = ["architecture", "method", "metric", *(snapshots[number].label for number in shown)]
    rows = [*(_quality(trend, shown) for trend in found), *_speed(snapshots, shown)]
    align = ["left"] * 3 + ["right"] * (len(head) - 1) + ["left"]
    return tabulate(
        rows,
        [*head, "since first", "since last", ""],
        tablefmt="simple",
        colalign=align,
        disable_numparse=True,
    )


def summary(snapshots: Sequence[BaselineSnapshot], found: Sequence[Trend]) -> str:
    """One line: how many snapshots and lines, and which of them drift."""
    drifting = [f"{trend.line.architecture} {trend.line.method}" for trend in found if trend.verdict == DRIFT]
    drifts = f"{len(drifting)} drift: {', '.join(drifting)}" if drifting else "none drifts"
    return f"{len(snapshots)} snapshots, {len(found)} lines, {drifts}"


def _quality(trend: Trend, shown: range) -> list[str]:
    metric = trend.metric
    values = [
        "–" if level is None else metric.format(level.mean) + "*" * trend.restarted(number)
        for number, level in ((number, trend.levels[number]) for number in shown)
    ]
    direction = f" to the {'worse' if trend.worse else 'better'}"
    remark = trend.verdict + direction * bool(trend.verdict)
    changes = [_signed(metric.format(change)) for change in (trend.since_first, trend.since_last)]
    return [trend.line.architecture, trend.line.method, metric.heading, *values, *changes, remark]


def _speed(snapshots: Sequence[BaselineSnapshot], shown: range) -> Iterator[list[str]]:
    for method in snapshots[-1].speed:
        known = [snapshot.speed[method] for snapshot in snapshots if method in snapshot.speed]
        values = [
            f"{snapshots[number].speed[method]:.2f}" if method in snapshots[number].speed else "–" for number in shown
        ]
        changes = [_signed(f"{known[-1] - former:.2f}") for former in (known[0], known[-2:][0])]
        yield ["all", method, "time / bp's", *values, *changes, ""]


def _signed(text: str) -> str:
    return text if text.startswith("-") or not float(text) else f"+{text}"
