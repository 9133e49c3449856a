"""The files of a study: its folder of results, and what a conclusion is written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from benchmarks.curves.draw import svg
from benchmarks.records import paths
from benchmarks.records.locks import sole_rewriter
from benchmarks.records.record import DONE, write_atomically
from benchmarks.records.result_set import ResultSet
from benchmarks.settings.neutral import with_neutral
from benchmarks.studies.chosen_runs import choose_runs
from benchmarks.studies.computed import read
from benchmarks.studies.study import Conclusion, Done, Findings, Sheet, Study
from benchmarks.tables.claims import Claim, claims_text, read_claims
from benchmarks.tables.text import comma_separated


def findings_of(study: Study, profile: str, results: Path, data: str = "") -> Findings:
    """The runs that count of those in records and packs, and the results of computations.

    data: the kind that was asked for, as `benchmarks.studies.chosen_runs` takes it.

    Raises:
        BadInput: a file that cannot be read; one line.
    """
    folder = paths.study(results, study.name)
    runs: tuple[Done, ...] = ()
    left_out = 0
    if paths.records(folder).is_dir() or paths.evidence(folder).is_dir():
        found = ResultSet.load(folder).select([profile])
        histories = found.histories
        done = [Done(one.record, histories.get(one.record.run_id)) for one in found.runs]
        runs = choose_runs(done, study.runs(profile), data)
        left_out = sum(one.record.status in DONE for one in done) - len(runs)
    ok = tuple(_whole(run) for run in runs if run.record.status == "ok")
    diverged = tuple(sorted(run.record.run_id for run in runs if run.record.status == "diverged"))
    computed = read(paths.computed(folder), study.computations(profile))
    return Findings(study.name, profile, ok, computed, left_out, diverged)


def _whole(run: Done) -> Done:
    """``run`` with all settings: a study asks for those that came later, too, and its hash is that of these values."""
    return replace(run, record=replace(run.record, config=with_neutral(run.record.config)))


def write(study: Study, conclusion: Conclusion, profile: str, results: Path) -> list[Path]:
    """Write a conclusion: claims into ``studies.csv``, sheets as tables, charts as figures; returns the files."""
    claims = paths.claims(results)
    texts = sheet_texts(study, conclusion, profile, results)
    for chart in conclusion.charts:
        texts[paths.figures(results) / "studies" / f"{study.name}_{chart.name}.svg"] = svg(chart)
    with sole_rewriter(claims):  # other studies may end at the same time
        kept = [one for one in read_claims(claims) if (one.study, one.profile) != (study.name, profile)]
        texts = {claims: claims_text(_in_order([*kept, *conclusion.claims])), **texts}
        for path, text in texts.items():
            write_atomically(path, text)
    return list(texts)


def sheet_texts(study: Study, conclusion: Conclusion, profile: str, results: Path) -> dict[Path, str]:
    """The tables of a conclusion, by file."""
    texts: dict[Path, str] = {}
    for sheet in conclusion.sheets:
        base = paths.tables(results) / "studies" / f"{study.name}_{sheet.name}"
        texts[base.with_suffix(".csv")] = comma_separated(sheet.header, sheet.rows)
        texts[base.with_suffix(".md")] = markdown(sheet, study, profile)
    return texts


def markdown(sheet: Sheet, study: Study, profile: str) -> str:
    """A sheet as Markdown, with where it comes from."""
    rows = tabulate(sheet.rows, headers=list(sheet.header), tablefmt="github", disable_numparse=True, stralign="right")
    head = f"# {sheet.title}\n\n{study.title}: {study.source} · profile {profile}\n\n"
    notes = "".join(f"- {note}\n" for note in sheet.notes)
    return f"{head}{rows}\n" + (f"\n{notes}" if notes else "")


def _in_order(claims: Sequence[Claim]) -> list[Claim]:
    from benchmarks.studies.discovery import studies  # it imports every study

    order = {name: place for place, name in enumerate(studies())}
    return sorted(claims, key=lambda one: (order.get(one.study, len(order)), one.profile))
