"""The trend as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from benchmarks.history.landing import Landing
from benchmarks.history.trend import DRIFT, Trend

NOTE = (
    "* tasks, settings or data differ from the landing before; changes are counted from there on.\n"
    "drift: further than one landing may move unnoticed, though no single landing was."
)


def table(landings: Sequence[Landing], found: Sequence[Trend], last: int) -> str:
    """Quality by architecture and method, then time relative to backprop, over the ``last`` landings."""
    shown = range(max(0, len(landings) - last), len(landings))
    head = ["architecture", "method", "metric", *(landings[number].label for number in shown)]
    rows = [*(_quality(trend, shown) for trend in found), *_speed(landings, shown)]
    align = ["left"] * 3 + ["right"] * (len(head) - 1) + ["left"]
    return tabulate(
        rows,
        [*head, "since first", "since last", ""],
        tablefmt="simple",
        colalign=align,
        disable_numparse=True,
    )


def summary(landings: Sequence[Landing], found: Sequence[Trend]) -> str:
    """One line: how many landings and lines, and which of them drift."""
    drifting = [f"{trend.line.architecture} {trend.line.method}" for trend in found if trend.verdict == DRIFT]
    drifts = f"{len(drifting)} drift: {', '.join(drifting)}" if drifting else "none drifts"
    return f"{len(landings)} landings, {len(found)} lines, {drifts}"


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


def _speed(landings: Sequence[Landing], shown: range) -> Iterator[list[str]]:
    for method in landings[-1].speed:
        known = [landing.speed[method] for landing in landings if method in landing.speed]
        values = [
            f"{landings[number].speed[method]:.2f}" if method in landings[number].speed else "–" for number in shown
        ]
        changes = [_signed(f"{known[-1] - former:.2f}") for former in (known[0], known[-2:][0])]
        yield ["all", method, "time / bp's", *values, *changes, ""]


def _signed(text: str) -> str:
    return text if text.startswith("-") or not float(text) else f"+{text}"
