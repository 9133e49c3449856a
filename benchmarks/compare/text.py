"""A comparison as text: a table for the terminal, plain lines elsewhere, Markdown for a pull request."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tabulate import tabulate

from benchmarks.compare.changes import BETTER, NOT_JUDGED, WITHIN, WORSE, Change, Comparison
from benchmarks.records import metrics
from benchmarks.records.cells import CellKey, ResultCell

HEADER = ("verdict", "cell", "A", "B", "B − A", "noise allows", "judged by")
_QUIET = (WITHIN, NOT_JUDGED)
_STYLES = {"better": "green", "added": "cyan", WITHIN: "dim", NOT_JUDGED: "dim"}
#: Open rows under a heading of the summary; the rest is folded away.
_OPEN_ROWS = 30
#: Columns a terminal needs for the table; a narrower one gets plain lines.
_WIDE = 110
_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def summary(comparison: Comparison) -> str:
    """One line: red or green, and how many cells got which verdict."""
    verdicts = sorted({change.verdict for change in comparison.changes})
    verdicts.sort(key=lambda verdict: (verdict not in comparison.failing, verdict in _QUIET))
    counts = " · ".join(f"{comparison.count(verdict)} {verdict}" for verdict in verdicts)
    state = "FAILED" if comparison.failures else "passed"
    return f"{state}: {counts or 'nothing to compare'}"


def show(comparison: Comparison, console: Console, title: str, everything: bool = False) -> None:
    """Print the notable cells (with ``everything``, all of them), the warnings and the summary."""
    chosen = [change for change in _worst_first(comparison) if everything or change.verdict not in _QUIET]
    rows = [row_of(change) for change in chosen]
    if rows and console.is_terminal and console.width >= _WIDE:
        console.print(_grid(rows, comparison, chosen, title))
    elif rows:
        plain = tabulate(rows, HEADER, tablefmt="plain", disable_numparse=True)
        console.print(f"{title}\n{plain}", **_PLAIN)
    for warning in comparison.warnings:
        console.print(f"warning: {warning}", style="yellow", **_PLAIN)
    console.print(summary(comparison), style="bold red" if comparison.failures else "bold green", **_PLAIN)


def _grid(rows: Sequence[Sequence[str]], comparison: Comparison, changes: Sequence[Change], title: str) -> Table:
    grid = Table(title=title, box=SIMPLE, title_justify="left")
    for place, heading in enumerate(HEADER):
        grid.add_column(heading, justify="right" if 2 <= place <= 5 else "left", no_wrap=place < 1)
    for row, change in zip(rows, changes, strict=True):
        style = "red" if change.verdict in comparison.failing else _STYLES.get(change.verdict)
        grid.add_row(*map(escape, row), style=style)
    return grid


def markdown(comparison: Comparison, title: str) -> str:
    """A summary for a pull request or a job's page: a line and a small table if all is well.

    Otherwise what failed comes first, then improvements, then other changes; speed is last, since it never fails.
    """
    state = "❌" if comparison.failures else "✅"
    parts = [f"### {state} {_safe(title)}", summary(comparison)]
    for heading, found in _sections(comparison):
        parts += [f"#### {len(found)} {heading}", _pipe(found[:_OPEN_ROWS])]
        if rest := found[_OPEN_ROWS:]:
            parts.append(f"<details><summary>{len(rest)} more</summary>\n\n{_pipe(rest)}\n\n</details>")
    parts.append(_by_domain(comparison))
    if comparison.speed:
        factors = " · ".join(f"{method} {factor:.2f}×" for method, factor in comparison.speed.items())
        parts.append(f"Training time relative to bp's, as a multiple of the baseline's: {factors}")
    parts += [f"> ⚠️ {_safe(warning)}" for warning in comparison.warnings]
    return "\n\n".join(parts) + "\n"


def _sections(comparison: Comparison) -> Iterator[tuple[str, list[Change]]]:
    """Notable changes under their headings; headings without changes are left out."""
    notable = [change for change in _worst_first(comparison) if change.verdict not in _QUIET]
    failed = [change for change in notable if change.verdict in comparison.failing]
    better = [change for change in notable if change not in failed and change.verdict == BETTER]
    other = [change for change in notable if change not in failed and change not in better]
    sections = (("that fail", failed), ("improvements", better), ("other changes", other))
    return ((heading, found) for heading, found in sections if found)


def _by_domain(comparison: Comparison) -> str:
    """A row per domain: how much was judged, what came of it, and how near the nearest cell came to its limit."""
    rows = []
    for domain, changes in itertools.groupby(sorted(comparison.changes, key=_domain), key=_domain):
        found = list(changes)
        judged = [c for c in found if c.difference and c.verdict != NOT_JUDGED]
        rows.append(
            [
                domain,
                len({change.key.task for change in found}),
                len(judged),
                sum(change.verdict in comparison.failing for change in found),
                sum(change.verdict == BETTER for change in found),
                _nearest(judged),
            ]
        )
    head = ("domain", "tasks", "cells judged", "failing", "better", "nearest to its limit")
    return tabulate(rows, head, tablefmt="pipe", colalign=["left", *["right"] * 4, "left"], disable_numparse=True)


def _nearest(judged: Sequence[Change]) -> str:
    """The cell whose difference takes the largest share of what noise allows."""
    shares = [
        (abs(c.difference.value) / c.difference.threshold, c)
        for c in judged
        if c.difference and c.difference.threshold > 0
    ]
    share, change = max(shares, key=lambda pair: pair[0], default=(0.0, None))
    if not share or change is None:
        return "–"
    return _safe(f"{share:.0%}: {change.key.task} {change.key.method} {change.key.metric}")


def _domain(change: Change) -> str:
    cell = change.after or change.before
    return cell.domain if cell else ""


def _pipe(changes: Sequence[Change]) -> str:
    rows = [[_safe(text) for text in row_of(change)] for change in changes]
    align = ["left", "left", "right", "right", "right", "right", "left"]
    return tabulate(rows, HEADER, tablefmt="pipe", colalign=align, disable_numparse=True)


def _safe(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;").replace("\n", " ")


def _worst_first(comparison: Comparison) -> list[Change]:
    """Failing cells first, of these the worse ones; within noise last; within a verdict the order of the keys."""

    def rank(change: Change) -> tuple[bool, bool, bool, str, CellKey]:
        return (
            change.verdict not in comparison.failing,
            change.verdict in _QUIET,
            change.verdict != WORSE,
            change.verdict,
            change.key,
        )

    return sorted(comparison.changes, key=rank)


def row_of(change: Change) -> list[str]:
    """The texts of one row, as `HEADER` names them."""
    found = change.difference
    name = f"{change.key.task} {change.key.method} {change.key.metric}".strip()
    # Of a cell that one side lacks, the other may have the same of another profile, or of other data.
    where = f"{change.key.profile}, {change.key.data_source}" if None in (change.before, change.after) else ""
    extra = [change.key.variant, where, "settings differ" if change.settings_differ else "", change.reason]
    name += "".join(f" [{text}]" for text in extra if text)
    sides = [_side(change.before), _side(change.after)]
    if found is None:
        return [change.verdict, name, *sides, "", "", ""]
    metric = metrics.lookup(change.key.metric)
    error = "" if found.error != found.error else f" ± {metric.format(found.error)}"
    value = f"{'+' if found.value > 0 else ''}{metric.format(found.value)}{error}"
    return [change.verdict, name, *sides, value, metric.format(found.threshold), found.how]


def _side(cell: ResultCell | None) -> str:
    if cell is None:
        return "–"
    if not cell.n:
        return f"0/{cell.runs} ok"
    count = f"n={cell.n}" if cell.n == cell.runs else f"{cell.n}/{cell.runs} ok"
    return f"{metrics.lookup(cell.key.metric).format(cell.mean)} ({count})"
