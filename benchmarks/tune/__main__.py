"""Equal tuning: ``python -m benchmarks.tune task=citation/gcn_cora methods=bp,dfa,shallow trials=20``.

    task=NAME        the task whose settings are searched
    methods=A,B      default: all that the task has, those of plugins included
    trials=N         points for each method (default 20)
    space=NAME       what is searched: conf/tune/NAME.yaml (default: default)
    search_seed=N    another sequence of points (default 0)
    profile=NAME     smoke, quick, long or paper (default quick)
    seeds=N or 0,4   runs of each trial, whose mean counts (default 1)
    write=NAME       keep the winners as the task NAME-of-the-task_NAME, and the runs as an evidence pack
    jobs=N           processes (default: as many as the cores have room for; one where hardware=gpu)
    plugins=a.py,b   files or modules that register methods of your own
    results=DIR      where the records go (default: results)
    KEY=VALUE        any setting of a run, for all trials alike

Every method tries the same points, and is judged by the validation split alone. What is recorded is not run again: a
search that was stopped continues, and one with more trials goes on where it ended. Ends with the best settings of each
method, beside the shipped ones, and how the best grew with the trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from benchmarks.records import paths
from benchmarks.settings.compose import load_plugins
from benchmarks.terminal import guard
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import LARGEST_SEED, shortened
from benchmarks.tune import named, searched
from benchmarks.tune.ranking import rank
from benchmarks.tune.report import show
from benchmarks.tune.search import Search, methods_of, perform, trials_of
from benchmarks.tune.space import load
from benchmarks.workers.command import end_if_stopped, run_command
from benchmarks.workers.outcome import failures
from benchmarks.workers.request import Arguments, parse

_MOST_TRIALS = 10_000  # for each method
_OWN = {"task": "", "trials": "20", "space": "default", "search_seed": "0", "write": ""}


@dataclass(frozen=True)
class Request:
    """The command line."""

    own: dict[str, str]
    trials: int
    search_seed: int
    common: Arguments  # what a sweep takes as well


@guard.command
def main() -> None:
    """Parse, plan, run, rank, show, and write if asked to."""
    run_command(__doc__ or "", lambda arguments, console: _tune(_request(arguments), console))


def _tune(request: Request, console: Console) -> bool:
    """The whole search; returns whether a run failed."""
    common = request.common
    if common.plugins:
        load_plugins(common.plugins)
    search = _search(request)
    if request.own["write"] == searched.NAME:
        searched.check(search)
    elif request.own["write"]:
        named.check(search, request.own["write"])
    trials = trials_of(search)
    paths.make(common.results)
    tally = perform(trials, common.jobs, common.plugins, console)
    end_if_stopped(tally, console)
    rankings = rank(trials, paths.records(common.results))
    show(search, rankings, console)
    if tally.failed:
        console.print(f"{len(tally.failed)} run(s) failed: {failures(common.results)}", markup=False)
    if request.own["write"]:
        is_shipped = request.own["write"] == searched.NAME
        write = searched.write if is_shipped else partial(named.write, name=request.own["write"])
        for path in write(search, trials, rankings, results=common.results):
            console.print(f"written: {path}", markup=False, highlight=False)
    return bool(tally.failed)


def _search(request: Request) -> Search:
    selection = request.common.selection
    return Search(
        task=request.own["task"],
        methods=methods_of(request.own["task"], selection.methods),
        space=load(request.own["space"]),
        trials=request.trials,
        seed=request.search_seed,
        profile=selection.profile,
        seeds=tuple(selection.seeds or [0]),
        overrides=tuple(selection.overrides),
    )


def _request(arguments: Sequence[str]) -> Request:
    """Split the command line into what a search takes and what a sweep takes as well.

    Raises:
        UsageError: an argument that is not key=value, or whose value cannot be read.
    """
    own, rest = dict(_OWN), []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UsageError(f"'{argument}': write key=value; see python -m benchmarks.tune --help")
        if key in own:
            own[key] = value or own[key]  # an empty value (a make variable not set) means the default
        elif key == "tasks":
            raise UsageError(f"'{argument}': a search takes one task: task=...")
        else:
            rest.append(argument)
    if not own["task"]:
        raise UsageError("task= is missing; give the task to tune, such as task=citation/gcn_cora")
    trials = _count("trials", own["trials"], 1, _MOST_TRIALS)
    return Request(own, trials, _count("search_seed", own["search_seed"], 0, LARGEST_SEED), parse(rest))


def _count(key: str, text: str, minimum: int, maximum: int) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(maximum))
    if not (digits and minimum <= int(text) <= maximum):
        raise UsageError(f"{key}='{shortened(text)}': give a whole number, {minimum} or more, and {maximum} or less")
    return int(text)


if __name__ == "__main__":
    main()
