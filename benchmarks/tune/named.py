"""The outcome of a search as files: a task config with the winning settings, and an evidence pack of its runs.

The config is the searched task with other values, by method. It is a task of its own: sweeps include it only if it is
named (or its folder is), and its domain is `tuned_<domain>`, so that no table puts it into the row, or beside the
published numbers, of the task that it came from. Neither name nor domain enters a run's hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmarks.catalogue.discovery import TUNED
from benchmarks.catalogue.methods import entry_for, standard_methods
from benchmarks.records import paths
from benchmarks.records.packs import pack
from benchmarks.records.record import read_record, write_atomically
from benchmarks.settings.choices import options
from benchmarks.settings.compose import compose, load_plugins
from benchmarks.settings.conf_files import CONF
from benchmarks.terminal.errors import UsageError
from benchmarks.training.run import Run
from benchmarks.tune.ranking import Ranking, Result
from benchmarks.tune.report import text_of
from benchmarks.tune.search import Search, Trial, key_of, override

_MARK = "found by python -m benchmarks.tune"


def config_path(search: Search, name: str) -> Path:
    """The file of the named config."""
    return CONF / "task" / f"{_task(search, name)}.yaml"


def check(search: Search, name: str) -> None:
    """Raise :class:`UsageError`, before anything runs, if the search cannot be written under ``name``."""
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise UsageError(f"write='{name}': give a name of lower-case letters, digits and underscores")
    path = config_path(search, name)
    if path.exists() and _MARK not in path.read_text(encoding="utf-8"):
        raise UsageError(f"write={name}: {path.name} exists and is not of a search; choose another name")
    if not path.exists() and _task(search, name) in options("task"):
        raise UsageError(f"write={name}: there is a task {_task(search, name)}; choose another name")
    beyond = [key for method in search.methods for key in search.space.of(method) if not key.startswith("task.")]
    if beyond:
        raise UsageError(f"write={name}: space '{search.space.name}' searches {beyond[0]}, which no task config holds")
    skip = compose([f"task={search.task}"]).task.skip
    has = [method for method in sorted(standard_methods()) if entry_for(method, skip) is None]
    if missing := [method for method in has if method not in search.methods]:
        wanted = ", ".join(missing)
        raise UsageError(f"write={name}: a task has settings for all standard methods; search {wanted} as well")


def write(
    search: Search, trials: Sequence[Trial], rankings: Mapping[str, Ranking], name: str, results: Path
) -> tuple[Path, Path]:
    """Write config and evidence; returns both files.

    The pack holds whole records, test metrics included: evidence of the runs as they were. It lies in a folder of its
    own, which tables do not read: nobody is to choose among trials by their test metrics.

    Raises:
        ValueError: runs failed, so that the methods did not have the same budget; a method without a winner; a pack
            that is too large; a written config that does not give the winning runs. All is as it was then.
    """
    winners = {method: _winner(method, ranking) for method, ranking in rankings.items()}
    evidence = paths.searches(paths.published(results)) / f"{_task(search, name).replace('/', '_')}.jsonl.gz"
    runs = sorted({run.id for trial in trials for run in trial.runs})
    records = [read_record(paths.records(results) / f"{run}.json") for run in runs]
    path = config_path(search, name)
    former = path.read_bytes() if path.exists() else None
    write_atomically(path, _header(search, rankings, name, evidence) + _body(search, winners, name))
    load_plugins([])  # forgets the tasks there were
    try:
        for method, winner in winners.items():
            _check_written(search, name, method, winner)
        pack(records, evidence)
    except BaseException:  # Ctrl-C too: of an earlier search config and evidence are there, or neither
        path.unlink() if former is None else write_atomically(path, former)
        raise
    return path, evidence


def _task(search: Search, name: str) -> str:
    return f"{search.task}_{name}"


def _winner(method: str, ranking: Ranking) -> Result:
    if failed := ranking.count("failed"):
        raise ValueError(f"nothing written: {failed} trial(s) of {method} failed; the same command tries them again")
    if ranking.best is None:
        raise ValueError(f"nothing written: no trial of {method} has a validation value; choose another space")
    return ranking.best


def _check_written(search: Search, name: str, method: str, winner: Result) -> None:
    """The named config must be the winning run, to the last setting."""
    base = [f"method={method}", f"profile={search.profile}"]
    searched = [*search.overrides, *(override(key, value) for key, value in winner.trial.settings.items())]
    was = Run.plan([f"task={search.task}", *base, *searched])
    now = Run.plan([f"task={_task(search, name)}", *base, *_beyond_task(search)])
    if was.config_hash != now.config_hash:
        raise ValueError(f"nothing written: {_task(search, name)} would not be what {method} was searched with")


def _beyond_task(search: Search) -> list[str]:
    """Overrides that a task's config cannot hold; its commands give them."""
    return [text for text in search.overrides if not key_of(text).startswith(("task.", "results"))]


def _header(search: Search, rankings: Mapping[str, Ranking], name: str, evidence: Path) -> str:
    metric = next(iter(rankings.values())).metric
    best = ", ".join(
        f"{method} {text_of(r.best.value if r.best else None, metric)} ({text_of(r.shipped.value, metric)})"
        for method, r in rankings.items()
    )
    diverged = ", ".join(f"{method} {ranking.count('diverged')}" for method, ranking in rankings.items())
    method = "dfa" if "dfa" in search.methods else search.methods[0]
    run = f"python -m benchmarks.run task={_task(search, name)} method={method} profile={search.profile}"
    lines = [
        f"{search.task} with settings {_MARK}",
        " ".join([run, *_beyond_task(search)]),
        f"Search: {_command(search, name)}",
        f"Space {search.space.name}: {_space(search)}",
        f"Best of {search.trials} trials each by {metric}, mean over seeds {', '.join(map(str, search.seeds))} "
        f"(shipped settings): {best}",
        f"Diverged trials: {diverged}",
        f"Runs: {evidence.parent.name}/{evidence.name}",
    ]
    return "".join(f"# {line}\n" for line in lines)


def _command(search: Search, name: str) -> str:
    """The search, without what has no effect on its outcome."""
    overrides = [text for text in search.overrides if key_of(text) != "results"]
    return " ".join(
        [
            f"python -m benchmarks.tune task={search.task} methods={','.join(search.methods)} trials={search.trials}",
            f"profile={search.profile} seeds={','.join(map(str, search.seeds))},",
            f"space={search.space.name} search_seed={search.seed}",
            *overrides,
            f"write={name}",
        ]
    )


def _space(search: Search) -> str:
    return "; ".join(f"{key} {dimension}" for key, dimension in search.space.shared.items())


def _body(search: Search, winners: Mapping[str, Result], name: str) -> str:
    """The config: the searched task, what was overridden in it for all methods, and the winners by method."""
    config = compose([f"task={search.task}", f"profile={search.profile}", *search.overrides])
    fixed = {key_of(text): _plain(config, key_of(text)) for text in search.overrides}
    chosen = {
        key: _by_method({method: winner.trial.settings[key] for method, winner in winners.items()})
        for key in search.space.shared
    }
    values = {key: value for key, value in {**fixed, **chosen}.items() if key.startswith("task.")}
    own = {"task.name": _task(search, name), "task.domain": f"{TUNED}{config.task.domain}", "task.profiles": []}
    lines = [f"defaults: [/task/{search.task}@_here_, _self_]"]
    return "\n".join([*lines, *_yaml(_nested({**values, **own}))]) + "\n"


def _by_method(values: Mapping[str, Any]) -> str:
    return f"${{by_method:{{{', '.join(f'{method}: {json.dumps(value)}' for method, value in values.items())}}}}}"


def _plain(config: DictConfig, key: str) -> Any:
    value = OmegaConf.select(config, key)
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, without their ``task.``, as a tree."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *folders, last = key.split(".")[1:]
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return tree


def _yaml(tree: Mapping[str, Any], indent: str = "") -> list[str]:
    """Lines of YAML; values as JSON, which YAML includes."""
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_yaml(value, f"{indent}  ")]
        else:
            lines.append(f"{indent}{key}: {json.dumps(value)}")
    return lines
