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
    swept = python(place, "-m", "benchmarks.sweep", "tasks=spirals", "profile=smoke", "seeds=2", "jobs=1")
    assert "told apart" in swept
    return place


def python(place: Path, *arguments: str) -> str:
    """What a command says that runs in the copy, and not in the tree of this test."""
    folders = {"PYTHONPATH": str(place), "DFA_CACHE_DIR": str(place / "cache")}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=place, env=os.environ | folders, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


#: Several commands in one process, one a line: importing PyTorch takes longer than most of them.
COMMANDS = """
import runpy, sys
for line in sys.argv[1:]:
    sys.argv = line.split()
    try:
        runpy.run_module(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
"""


def commands(place: Path, *lines: str) -> str:
    return python(place, "-c", COMMANDS, *lines)


def test_the_example_is_one_small_package():
    """The promise: one package of at most 120 lines."""
    assert sum(len(path.read_text().splitlines()) for path in EXAMPLE.glob("*.py")) <= 120


def test_help_lists_the_task(tree):
    """Without it nobody could choose it."""
    assert TASK in python(tree, "-m", "benchmarks.run", "--help")


def test_tables_report_and_gate_have_it(tree):
    """Its table, its rows in the tables over all domains, its section in the report; the methods in their order.

    Written as a baseline and checked against itself: every cell within noise, the metric's tolerance known.
    """
    said = commands(
        tree,
        "benchmarks.tables",
        "benchmarks.report",
        "benchmarks.baseline write --out baseline.json",
        "benchmarks.baseline check --out baseline.json",
    )
    assert "within noise" in said
    assert "| Two spirals | MLP " in (tree / "results/tables/smoke/table_spirals_standin.md").read_text()
    with (tree / "results/tables/smoke/gap_closed_standin.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["dataset"], row["method"], row["domain"], row["metric"]) == (
        *("two_spirals", "dfa", "spirals", "told_apart"),
    )
    assert float(row["shallow mean"]) < float(row["method mean"]) < float(row["bp mean"])
    assert "Two spirals: test points told apart (%)" in (tree / "results/report.html").read_text()


def test_conformance_takes_it_up(tree):
    """The snapshot of its points is generated; gradients, steps and equal starts are checked as of every network."""
    python(tree, "-m", "tests.tasks.points", "spiral_mlp")
    # A folder of its own: in the shared one, pytest would clear away the folders of earlier sessions.
    asked = ("-m", "pytest", "-q", "--basetemp=temporary", "tests/tasks/test_conformance.py", "-k", "spirals")
    assert "16 passed, 4 skipped" in python(tree, *asked)


NETWORK = '''"""A GCN whose hidden layer keeps what it was projected from."""

from torch.nn import functional as F

from benchmarks.tasks.citation.gcn import GCN


class ResidualGCN(GCN):
    """Two graph convolutions, the first beside the identity."""

    def hidden(self, graph):
        projected = self.project(graph.x)
        return F.relu(projected + self.conv1(projected, graph.edge_index))
'''
GRAPH = '''"""A citation graph of one's own, in the format of the others."""

from dataclasses import replace

from datasets.core.manifest import Manifest
from datasets.core.source import Dataset
from datasets.planetoid.standin import STANDINS, write_citation

_CORA = STANDINS["cora"]
_SETTINGS = {"default": replace(_CORA.settings["smoke"], name="villages", nodes=800)}
_FILES = tuple(name.replace("cora", "villages") for name in _CORA.files)
DATASET = Dataset(
    Manifest("villages", "villages", licence="mine", origin="mine", files=()),
    replace(_CORA, name="villages", files=_FILES, settings=_SETTINGS, write=write_citation),
)
'''
ENTRY = """    Architecture(
        "residual_gcn",
        "Residual GCN",
        f"{_CONFIG}:GCNConfig",
        "benchmarks.tasks.citation.residual_gcn:ResidualGCN",
    ),
)

TABLES = ("""
VALUES = "defaults: [/schema/residual_gcn@_here_, _self_]\nepochs: 30\noptim: {lr: 0.01}\n"


def test_an_architecture_and_a_dataset_join_a_domain(tree):
    """A model file, its entry and its values; a package with DATASET, and its name in the catalogue. Nothing else."""
    citation, catalogue = tree / "benchmarks/tasks/citation", tree / "benchmarks/tasks/citation/catalogue.py"
    (citation / "residual_gcn.py").write_text(NETWORK)
    (tree / "conf/architecture/residual_gcn.yaml").write_text(VALUES)
    (tree / "datasets/villages").mkdir()
    (tree / "datasets/villages/__init__.py").write_text(GRAPH)
    text = catalogue.read_text()
    changed = text.replace(")\n\nTABLES = (", ENTRY, 1).replace("GRAPHS = {", 'GRAPHS = {"villages": "Villages", ', 1)
    catalogue.write_text(changed)
    task = "citation/residual_gcn_villages"
    python(tree, "-m", "benchmarks.sweep", f"tasks={task}", "methods=bp,dfa", "profile=smoke", "seeds=1", "jobs=1")
    rows = (tree / "results/tables/smoke/overview_citation_standin.md").read_text().splitlines()
    assert [row.split("|")[1:3] for row in rows if "Residual" in row] == [[" Villages  ", " Residual GCN   "]]
    assert "villages" in python(tree, "-m", "benchmarks.data", "status")
