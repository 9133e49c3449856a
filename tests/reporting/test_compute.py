"""docs/compute.md: each pack stands in one row, with the runs and the hours of its records."""

from __future__ import annotations

import re

from benchmarks.records.packs import is_pack, read_pack
from tests import REPOSITORY

PUBLISHED = REPOSITORY / "results" / "published"


def packs():
    """The name of every pack, as the table has it, with its file."""
    evidence = PUBLISHED / "evidence"
    for path in sorted(filter(is_pack, evidence.rglob("*"))):
        yield path.relative_to(evidence).as_posix().split(".")[0], path
    for path in sorted(filter(is_pack, (PUBLISHED / "studies").glob("*/evidence/*"))):
        yield path.parent.parent.name, path


def rows():
    done = (REPOSITORY / "docs" / "compute.md").read_text().partition("## Done")[2].partition("## ")[0]
    for line in done.strip().splitlines()[2:]:
        *_, names, runs, hours = (cell.strip() for cell in line.strip("|").split("|"))
        yield re.findall(r"`([^`]+)`", names), runs, hours


def is_named(name, pattern):
    return name == pattern or (pattern.endswith("/*") and name.startswith(pattern[:-1]))


def test_each_pack_stands_in_one_row():
    patterns = [pattern for names, _, _ in rows() for pattern in names]
    for name, _ in packs():
        assert sum(is_named(name, pattern) for pattern in patterns) == 1, name
    assert all(any(is_named(name, pattern) for name, _ in packs()) for pattern in patterns)


def test_runs_and_hours_are_those_of_the_records():
    """The table mixed training alone with all that a run takes, and runs that were skipped with those that trained."""
    for names, runs, hours in rows():
        files = [path for name, path in packs() if any(is_named(name, pattern) for pattern in names)]
        trained = [one for path in files for one in read_pack(path) if one.status != "skipped"]
        seconds = sum(one.train_seconds + one.eval_seconds + one.alignment_seconds for one in trained)
        wanted = f"{seconds / 3600:.1f}".removeprefix("0")
        assert (runs, hours) == (f"{len(trained):,}", wanted), names
