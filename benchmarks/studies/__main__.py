"""Companion studies, with a verdict for each claim: ``python -m benchmarks.studies bottleneck profile=quick``.

    NAME …           studies (default: all): best_practices, bottleneck, shallow_theory, deep_nets, convolutions,
                     carry_over, scaling, optics, click_anchors
    profile=NAME     smoke, quick, long or paper (default quick)
    jobs=N           processes (default: as many as the cores have room for)
    data=CHOICE      of the runs: auto, real or standin (default: what the profile says); stand-ins and real data are
                     never averaged, and where both are recorded the real ones count
    results=DIR      where records, tables and figures go (default: results); records in DIR/studies/NAME
    run=false        conclude from what is recorded, and train nothing
    publish=true     pack the records into results/published as well, with tables and figures

What is recorded is skipped; a study that was stopped continues where it was. Writes a table and figures for each study,
and all claims into DIR/tables/studies.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.records import paths
from benchmarks.settings.overrides import Overrides
from benchmarks.settings.quoting import quoted
from benchmarks.settings.schema import PROFILES
from benchmarks.studies import computed, files
from benchmarks.studies.discovery import chosen
from benchmarks.studies.publish import publish
from benchmarks.studies.study import Conclusion, Study
from benchmarks.terminal import guard
from benchmarks.terminal.errors import UsageError
from benchmarks.terminal.names import shortened
from benchmarks.workers.command import end_if_stopped, run_command
from benchmarks.workers.outcome import failures
from benchmarks.workers.plan import QueuedRun, in_order, plan
from benchmarks.workers.request import parse_jobs
from benchmarks.workers.workload import jobs_for, work_through

_CHOICES = {
    "profile": PROFILES,
    "data": ("", "auto", "real", "standin"),
    "run": ("true", "false"),
    "publish": ("false", "true"),
}


@dataclass(frozen=True)
class Request:
    """The command line."""

    studies: Sequence[Study]
    profile: str
    jobs: int | None
    data: str
    results: Path
    runs: bool
    publishes: bool


@guard.command
def main() -> None:
    """Parse, run, conclude, write."""
    run_command(__doc__ or "", lambda arguments, console: _study(_request(arguments), console))


def _study(request: Request, console: Console) -> bool:
    """All studies, one after the other; returns whether a run failed.

    Raises:
        UsageError: nothing was to be run, and there is nothing to conclude from.
    """
    failed, concluded = False, False
    for study in request.studies:
        console.print(f"[bold]{study.name}[/bold]: {study.title} ({study.source})", highlight=False)
        if request.runs:
            paths.make(paths.study(request.results, study.name))
            failed |= _run(study, request, console)
            _compute(study, request, console)
        concluded |= _conclude(study, request, console)
    if not concluded:
        raise UsageError(f"results={request.results}: holds nothing of it; leave out run=false, and it is run")
    return failed


def _conclude(study: Study, request: Request, console: Console) -> bool:
    """Show and write what follows from what is recorded; whether there is anything."""
    findings = files.findings_of(study, request.profile, request.results, request.data)
    if findings.left_out:
        console.print(f"left out: {findings.left_out} recorded run(s) of other settings, or on other data")
    if findings.diverged:
        console.print(f"diverged, and in no mean: {', '.join(findings.diverged)}", markup=False)
    if not request.runs and not (findings.runs or findings.diverged or findings.computed):
        console.print(f"nothing is recorded of it at profile={request.profile}")
        return False
    conclusion = study.conclusion(findings)
    _show(conclusion, console)
    for path in files.write(study, conclusion, request.profile, request.results):
        console.print(f"written: {path}", markup=False, highlight=False)
    if request.publishes:
        for path in publish(study, request.profile, request.results, request.data):
            console.print(f"published: {path}", markup=False, highlight=False)
    return True


def _run(study: Study, request: Request, console: Console) -> bool:
    """Do the runs that are not recorded; returns whether one failed."""
    folder = paths.study(request.results, study.name)
    runs = _planned(study, request, folder)
    if not runs:
        return False
    tally = work_through(runs, jobs_for(request.jobs, runs), (), console)
    end_if_stopped(tally, console)
    if tally.failed:
        console.print(f"{len(tally.failed)} run(s) failed: {failures(folder)}", markup=False)
    return bool(tally.failed)


def _planned(study: Study, request: Request, folder: Path) -> list[QueuedRun]:
    """Every run of the study once, named by what sets it apart."""
    common = [f"results={quoted(str(folder))}", *([f"data={request.data}"] if request.data else [])]
    found: dict[str, QueuedRun] = {}
    for selection in study.runs(request.profile):
        whole = replace(selection, overrides=Overrides.of([*selection.overrides, *common]))
        for run in plan(whole):
            found.setdefault(run.id, run)
    return in_order(list(found.values()))


def _compute(study: Study, request: Request, console: Console) -> None:
    folder = paths.computed(paths.study(request.results, study.name))
    for one in study.computations(request.profile):
        if seconds := computed.compute(folder, one):
            console.print(f"computed {one.name}  {seconds:.1f} s", highlight=False)


def _show(conclusion: Conclusion, console: Console) -> None:
    table = Table("claim", "quantity", "ours", "reference", "verdict", box=None, pad_edge=False)
    for one in conclusion.claims:
        interval = f" [{one.low:.3g}, {one.high:.3g}]" if one.low == one.low else ""
        table.add_row(one.claim, one.quantity, f"{one.ours:.4g}{interval}", one.reference, one.verdict.value)
    console.print(table, markup=False)


def _request(arguments: Sequence[str]) -> Request:
    """Split the command line.

    Raises:
        UsageError: an argument that is not known, or whose value cannot be read.
    """
    taken = {"profile": "quick", "jobs": "", "data": "", "results": "results", "run": "true", "publish": "false"}
    names: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            names += [name for name in argument.split(",") if name]
        elif key not in taken:
            raise UsageError(f"'{shortened(argument)}': a study takes {', '.join(taken)}")
        else:
            taken[key] = value or taken[key]
    for key, choices in _CHOICES.items():
        if taken[key] not in choices:
            raise UsageError(f"{key}={shortened(taken[key])}: choose {', '.join(filter(None, choices))}")
    return Request(
        chosen(names),
        taken["profile"],
        parse_jobs(taken["jobs"]),
        taken["data"],
        Path(taken["results"]),
        taken["run"] == "true",
        taken["publish"] == "true",
    )


if __name__ == "__main__":
    main()
