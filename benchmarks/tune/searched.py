"""The outcome of a search as the settings that methods ship with: an entry of `conf/searched/<profile>.yaml`.

Only methods that are not standard have entries: `bp`, `dfa` and `shallow` have settings of their own in every task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from benchmarks.catalogue.methods import known_methods
from benchmarks.records import paths
from benchmarks.records.locks import sole_rewriter
from benchmarks.records.packs import pack
from benchmarks.records.record import read_record, write_atomically
from benchmarks.settings import searched
from benchmarks.settings.compose import compose
from benchmarks.terminal.errors import UsageError
from benchmarks.tune.ranking import Ranking, Result
from benchmarks.tune.report import text_of
from benchmarks.tune.search import Search, Trial

#: As in ``write=searched``.
NAME = "searched"
#: What a search may set for itself: a good rate shows before a run ends. A trial is the beginning of a run, so the
#: schedule keeps its length. With one that was shortened as well, rates won that were too high for a whole run.
_SCHEDULE = "task.optim.schedule_steps"
_LENGTHS = ("task.epochs", "task.steps", _SCHEDULE)
_HEADER = """\
# Settings of methods, found by searches on the stand-ins: python -m benchmarks.tune … space=methods write=searched
# Each method of a task had the same number of trials, judged by validation. What a comment says: best value (with the
# settings of the method that it is like), and with which length if it was not that of a run. The runs are packed in
# results/published/evidence/tune/.
"""


def check(search: Search) -> None:
    """Raise :class:`UsageError`, before anything runs, if the search cannot become shipped settings."""
    for override in search.overrides:
        if override.partition("=")[0] not in _LENGTHS:
            raise UsageError(f"write={NAME}: '{override}' would hold for the search alone; leave it out")
    for method in search.methods:
        run = [f"task={search.task}", f"method={method}", f"profile={search.profile}"]
        whole, trial = (compose(one).task.optim.schedule_steps for one in (run, [*run, *search.overrides]))
        if whole != trial:
            raise UsageError(
                f"write={NAME}: trials of {method} would have a schedule of {trial} steps, and its runs one of "
                f"{whole}; give {_SCHEDULE}={whole} as well"
            )
    path = searched.searched_file(search.profile)
    if missing := _read(path).get(search.task, {}).keys() - set(search.methods):
        raise UsageError(
            f"write={NAME}: {path.name} has settings of {', '.join(sorted(missing))} for {search.task}, which would be "
            "lost; search these methods as well"
        )


def write(search: Search, trials: Sequence[Trial], rankings: Mapping[str, Ranking], results: Path) -> tuple[Path, Path]:
    """Write the winners and the evidence; returns both files.

    Raises:
        ValueError: trials failed, so that methods did not have the same budget; a pack that is too large.
    """
    for method, ranking in rankings.items():
        if failed := ranking.count("failed"):
            raise ValueError(
                f"nothing written: {failed} trial(s) of {method} failed; the same command tries them again"
            )
    evidence = (
        paths.searches(paths.published(results)) / f"{NAME}_{search.profile}_{search.task.replace('/', '_')}.jsonl.gz"
    )
    runs = sorted({run.id for trial in trials for run in trial.runs})
    path = searched.searched_file(search.profile)
    pack((read_record(paths.records(results) / f"{run}.json") for run in runs), evidence)
    found = {
        method: (_settings(search, method, _winner(ranking)), _comment(ranking, search.overrides))
        for method, ranking in rankings.items()
        if not known_methods()[method].standard and ranking.best is not None
    }
    with sole_rewriter(path):  # a search of another task may end at the same time
        write_atomically(path, _HEADER + "".join(_lines(_read(path) | {search.task: found})))
    searched.forget()
    return path, evidence


def _winner(ranking: Ranking) -> Result:
    """The best trial, or what ships if that is better."""
    assert ranking.best is not None
    return ranking.shipped if ranking.shipped_is_better else ranking.best


def _settings(search: Search, method: str, winner: Result) -> dict[str, Any]:
    """All that was searched, what ships included: the method that this one is like may get other settings later."""
    config = compose([f"task={search.task}", f"method={method}", f"profile={search.profile}", *search.overrides])
    found = winner.trial.settings
    return {key: found[key] if key in found else OmegaConf.select(config, key) for key in search.space.of(method)}


def _comment(ranking: Ranking, shortened: Sequence[str]) -> str:
    values = (text_of(found.value, ranking.metric) for found in (_winner(ranking), ranking.shipped))
    return "{} ({})".format(*values) + "".join(f" with {override}" for override in shortened)


def _read(path: Path) -> dict[str, dict[str, tuple[dict[str, Any], str]]]:
    """The entries of a file with their comments, which YAML's own readers drop."""
    if not path.exists():
        return {}
    found: Any = OmegaConf.to_container(OmegaConf.load(path))
    comments: dict[tuple[str, str], str] = {}
    task = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, comment = line.partition("  # ")
        if not line.startswith((" ", "#")):
            task = line.rstrip(":")
        elif comment:
            comments[task, name.strip().partition(":")[0]] = comment
    return {t: {m: (s, comments.get((t, m), "")) for m, s in methods.items()} for t, methods in found.items()}


def _lines(entries: Mapping[str, Mapping[str, tuple[dict[str, Any], str]]]) -> list[str]:
    lines: list[str] = []
    for task in sorted(entries):
        lines.append(f"{task}:\n")
        for method, (settings, comment) in entries[task].items():
            values = ", ".join(f"{key}: {json.dumps(value)}" for key, value in settings.items())
            lines.append(f"  {method}: {{{values}}}  # {comment}\n")
    return lines
