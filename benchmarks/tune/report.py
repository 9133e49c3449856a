"""The end of a search: per method the best settings, and how the best value grew with the trials."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.records import metrics
from benchmarks.tune.ranking import Ranking, Result
from benchmarks.tune.search import Search

_NONE = "–"


def show(search: Search, rankings: Mapping[str, Ranking], console: Console) -> None:
    """Print the tables of a finished search."""
    console.print(_winners(search, rankings))
    console.print(_growth(rankings))
    for line in remarks(search, rankings):
        console.print(line, markup=False, highlight=False)


def text_of(value: float | None, metric: str) -> str:
    """A validation value with its metric's decimals."""
    return _NONE if value is None else metrics.lookup(metric).format(value)


def remarks(search: Search, rankings: Mapping[str, Ranking]) -> list[str]:
    """The remarks that a reader needs to judge the tables."""
    lines = ["shipped: one more trial with the settings as shipped, outside the budget. No test metric was read."]
    for method, ranking in rankings.items():
        if skipped := ranking.count("skipped"):
            lines.append(f"{method}: {skipped} of {search.trials} trials skipped: the task does not suit it")
        elif ranking.best is None:
            lines.append(f"{method}: none of {search.trials} trials has a validation value")
        elif ranking.shipped_is_better:
            lines.append(f"{method}: {search.trials} trials found nothing as good as the shipped settings")
    return lines


def _winners(search: Search, rankings: Mapping[str, Ranking]) -> Table:
    metric = next(iter(rankings.values())).metric
    keys = list(dict.fromkeys(key for method in search.methods for key in search.space.of(method)))
    seeds = ", ".join(map(str, search.seeds))
    table = Table(title=f"{search.task}, profile {search.profile}: best of {search.trials} trials each, seeds {seeds}")
    table.add_column("method")
    for key in keys:
        table.add_column(key.removeprefix("task."), justify="right")
    for heading in (metric, "trial", "shipped", "diverged", "failed"):
        table.add_column(heading, justify="right")
    for method, ranking in rankings.items():
        counts = (str(ranking.count("diverged")), str(ranking.count("failed")))
        shipped = ranking.shipped.status if ranking.shipped.value is None else text_of(ranking.shipped.value, metric)
        table.add_row(method, *_settings(ranking.best, keys), *_value(ranking.best, metric), shipped, *counts)
    return table


def _settings(best: Result | None, keys: list[str]) -> list[str]:
    settings = {} if best is None else best.trial.settings
    return [str(settings[key]) if key in settings else _NONE for key in keys]


def _value(best: Result | None, metric: str) -> tuple[str, str]:
    return (_NONE, _NONE) if best is None else (text_of(best.value, metric), str(best.trial.number))


def _growth(rankings: Mapping[str, Ranking]) -> Table:
    grown = {method: ranking.growth() for method, ranking in rankings.items()}
    metric = next(iter(rankings.values())).metric
    table = Table(title=f"best {metric} after so many trials")
    table.add_column("method")
    for count in next(iter(grown.values())):
        table.add_column(str(count), justify="right")
    for method, values in grown.items():
        table.add_row(method, *(text_of(value, metric) for value in values.values()))
    return table
