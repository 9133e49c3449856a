"""Does align-then-memorise carry over to the paper's own networks (arXiv:2011.12428)?

In deep perceptrons alignment rises first and declines while the training set is being memorised. Here the same is asked
of the cosine at the deepest feedback point of a GCN on Cora and of the Transformer, over their training.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.curves.chart import Chart, Panel, over_seeds
from benchmarks.records.run_history import ALIGNMENT
from benchmarks.studies.study import Conclusion, Done, Findings, Measured, Sheet, Study, measured
from benchmarks.studies.verdicts import above, text
from benchmarks.tables.claims import Claim
from benchmarks.workers.plan import Selection

TASKS = {"citation/gcn_cora": "GCN, Cora", "wikitext2/macro": "Transformer, WikiText-2"}
_SEEDS = {
    "smoke": {"citation/gcn_cora": 1, "wikitext2/macro": 1},
    "quick": {"citation/gcn_cora": 5, "wikitext2/macro": 1},
    "long": {"citation/gcn_cora": 10, "wikitext2/macro": 1},
    "paper": {"citation/gcn_cora": 10, "wikitext2/macro": 1},
}
#: Steps of the Transformer, and after how many its alignment is measured. A GCN's epoch is one step.
_STEPS = {"smoke": (60, 20), "quick": (1600, 160), "long": (6400, 400), "paper": (40_000, 2000)}
#: By how much a cosine must have changed to have changed.
_CHANGE = 0.02


def _runs(profile: str) -> Iterator[Selection]:
    steps, every = _STEPS[profile]
    clocks = {
        "citation/gcn_cora": ["task.alignment_every=5"],
        "wikitext2/macro": ["task.epochs=null", f"task.steps={steps}", f"task.eval_every={every}"],
    }
    for task, seeds in _SEEDS[profile].items():
        yield Selection(profile, [task], ["dfa"], range(seeds), clocks[task])


def cosines(run: Done) -> np.ndarray:
    """The cosine at the deepest point wherever it was measured, ``(rows,)``."""
    if run.history is None or not run.history.points:
        return np.empty(0)
    column = run.column(f"{ALIGNMENT}_mean/{run.history.points[0]}")
    return column[np.isfinite(column)]


def rise_and_fall(run: Done) -> tuple[float, float]:
    """How much the cosine rises from its first value to its largest, and how much it falls from there to the end."""
    found = cosines(run)
    return (float(found.max() - found[0]), float(found.max() - found[-1])) if len(found) > 2 else (np.nan, np.nan)


def _conclude(findings: Findings) -> Conclusion:
    claims: list[Claim] = []
    rows: list[list[str]] = []
    for task, title in TASKS.items():
        runs = findings.of_task(task)
        rises, falls = (_over(runs, part) for part in (0, 1))
        claims += [
            runs.claim(f"{title}: signals come to lie along backprop's", "rise of the deepest cosine", rises,
                       f"> {_CHANGE}", above(rises, _CHANGE)),
            runs.claim(f"{title}: alignment declines while the network memorises", "fall of the deepest cosine",
                       falls, f"> {_CHANGE}", above(falls, _CHANGE)),
        ]  # fmt: skip
        if len(runs):
            ends = [measured([found[place] for run in runs if len(found := cosines(run))]) for place in (0, -1)]
            peak = measured([float(found.max()) for run in runs if len(found := cosines(run))])
            rows.append([title, runs.data, *(text(one) for one in (ends[0], peak, ends[1])), str(len(runs))])
    header = ("network", "data", "first cosine", "peak", "last", "n")
    sheet = Sheet("cosines", "Alignment over training at the deepest feedback point", header, rows)
    return Conclusion(claims, [sheet], list(_charts(findings)))


def _over(runs: Findings, part: int) -> Measured:
    return measured([rise_and_fall(run)[part] for run in runs], runs.study)


def _charts(findings: Findings) -> Iterator[Chart]:
    panels = []
    for task, title in TASKS.items():
        curves = []
        for run in findings.of_task(task):
            if run.history is not None and run.history.points:
                column = run.column(f"{ALIGNMENT}_mean/{run.history.points[0]}")
                curves.append((run.column("step"), column))
        if series := over_seeds("dfa", "dfa", curves):
            panels.append(Panel(task, title, "cosine", (series,)))
    if panels:
        yield Chart(
            name="cosines",
            title="Alignment over training",
            subtitle=f"deepest feedback point, profile {findings.profile}; the band is what seeds span",
            x_label="steps",
            panels=tuple(panels),
        )


STUDY = Study(
    "carry_over",
    "Align, then memorise: on a graph and on text",
    "arXiv:2011.12428",
    _conclude,
    runs=lambda profile: tuple(_runs(profile)),
    order=60,
)
