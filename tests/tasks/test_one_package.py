"""A domain is one package: in a copy of the tree with examples/spirals, and no other change, everything has it."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "spirals"
TASK = "spirals/spiral_mlp_two_spirals"


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The copy, after a sweep over the new domain with two seeds."""
    place = tmp_path_factory.mktemp("tree")
    for folder in ("benchmarks", "datasets", "dfa_core", "conf", "tests", "results/paper"):
        shutil.copytree(REPOSITORY / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", place)
    shutil.copytree(EXAMPLE, place / "benchmarks" / "tasks" / "spirals")
    swept = python(place, "-m", "benchmarks.sweep", "tasks=spirals", "profile=smoke", "seeds=2")
    assert "told apart" in swept
    return place


def python(place: Path, *arguments: str) -> str:
    """What a command says that runs in the copy, and not in the tree of this test."""
    folders = {"PYTHONPATH": str(place), "DFA_CACHE_DIR": str(place / "cache")}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=place, env=os.environ | folders, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_is_one_small_package():
    """The promise: one package of at most 120 lines."""
    assert sum(len(path.read_text().splitlines()) for path in EXAMPLE.glob("*.py")) <= 120


def test_help_lists_the_task(tree):
    """Without it nobody could choose it."""
    assert TASK in python(tree, "-m", "benchmarks.run", "--help")


def test_tables_and_report_have_it(tree):
    """Its table, its rows in the tables over all domains, its section in the report; the methods in their order."""
    python(tree, "-m", "benchmarks.tables")
    assert "| Two spirals | MLP " in (tree / "results/tables/smoke/table_spirals_standin.md").read_text()
    with (tree / "results/tables/smoke/gap_closed_standin.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["dataset"], row["method"], row["domain"], row["metric"]) == (
        *("two_spirals", "dfa", "spirals", "told_apart"),
    )
    assert float(row["shallow mean"]) < float(row["method mean"]) < float(row["bp mean"])
    python(tree, "-m", "benchmarks.report")
    assert "Two spirals: test points told apart (%)" in (tree / "results/report.html").read_text()


def test_the_gate_judges_it(tree):
    """Written as a baseline and checked against itself: every cell within noise, the metric's tolerance known."""
    baseline = ("--out", "baseline.json")
    python(tree, "-m", "benchmarks.baseline", "write", *baseline)
    assert "within noise" in python(tree, "-m", "benchmarks.baseline", "check", *baseline)


def test_conformance_takes_it_up(tree):
    """The snapshot of its points is generated; gradients, steps and equal starts are checked as of every network."""
    python(tree, "-m", "tests.tasks.points", "spiral_mlp")
    asked = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/tasks/test_conformance.py", "-k", "spirals")
    assert "7 passed" in python(tree, *asked)
