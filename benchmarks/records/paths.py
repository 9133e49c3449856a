"""Where everything lies below a results folder: the one place that joins these names.

A results folder is what a user's own sweeps make (`results/`, ignored by git). ``published/`` in it has the same parts
again and is committed; results/README.md says which commands write to it. Whatever reads one reads the other:
`ResultSet.load("results/published")` has the published runs.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from benchmarks.records.unfinished import remove_abandoned

#: The results folder where no other is named.
RESULTS = Path("results")
#: The part of it that is committed.
PUBLISHED = "published"


def published(results: Path) -> Path:
    """The published results, a results folder of their own."""
    return results / PUBLISHED


def records(results: Path) -> Path:
    """A JSON for each run, below profile, task and method, with its history and artefacts beside it."""
    return results / "records"


def evidence(results: Path) -> Path:
    """Records packed into a few files."""
    return results / "evidence"


def searches(results: Path) -> Path:
    """The packed runs of searches, which tables do not read."""
    return evidence(results) / "tune"


def studies(results: Path) -> Path:
    """The companion studies, each a folder."""
    return results / "studies"


def study(results: Path, name: str) -> Path:
    """The records of one companion study, a results folder of their own: its runs are no task as shipped."""
    return studies(results) / name


def computed(results: Path) -> Path:
    """Results that a study computes without a run."""
    return results / "computed"


def tables(results: Path) -> Path:
    """The tables, below their profile."""
    return results / "tables"


def claims(results: Path) -> Path:
    """The claims of the companion studies, with our verdicts."""
    return tables(results) / "studies.csv"


def figures(results: Path) -> Path:
    """The charts and pictures, below their profile."""
    return results / "figures"


def report(results: Path) -> Path:
    """The report."""
    return results / "report.html"


def baseline(results: Path, profile: str) -> Path:
    """The baseline that the gate compares with."""
    return published(results) / "baselines" / f"{profile}.json"


def history(results: Path, profile: str) -> Path:
    """A line for each baseline that was written."""
    return published(results) / "history" / f"{profile}.jsonl"


def is_results(folder: Path) -> bool:
    """Whether ``folder`` has a part of a results folder: its runs are then in those parts alone, or it has none."""
    parts = (published, records, evidence, studies, computed, tables, figures, work)
    return any(part(folder).is_dir() for part in parts)


def make(results: Path) -> None:
    """Make a results folder that runs can write to; what killed processes have left unfinished in it goes.

    Raises:
        ValueError: it cannot be made or written to; one line.
    """
    folder = work(results)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(
            f"results={results}: no folder that runs can be written to ({reason}); name another"
        ) from error
    for top in (results, published(results)):
        for part in (records, evidence, studies, computed, tables, figures, work):  # all else may be anybody's
            remove_abandoned(part(top))


def work(results: Path) -> Path:
    """Unfinished work, which can be deleted at any time: checkpoints, locks, tracebacks of failures."""
    return results / "work"
