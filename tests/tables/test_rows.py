"""What stands beside a number outside the paper's tables: on the line of a finished task, and of overridden runs."""

from __future__ import annotations

import csv
import io

from rich.console import Console

from benchmarks.records.aggregation import aggregate
from benchmarks.tables import row_for, task_row
from benchmarks.tables.terminal import show
from tests.helpers.results_samples import rebuild, record, records, save, tables_of


def test_one_line_per_finished_task_and_tables_on_the_console(tmp_path):
    made = records([80.0, 81.0]) + records([30.0], method="shallow") + records([79.0], method="dfa")
    line = row_for(aggregate(made).cells, "citation/gcn_cora")
    assert line == (
        "citation/gcn_cora  accuracy: bp 80.5 ± 0.7 (paper 80.1) · dfa 79.0 (paper 79.9) · shallow 30.0 (paper 37.0)"
    )
    assert task_row(save(tmp_path, made), "paper", "citation/gcn_cora") == line
    assert task_row(tmp_path, "paper", "citation/gat_cora") == "citation/gat_cora: no result"
    console = Console(file=io.StringIO(), width=100)
    show(tables_of(save(tmp_path, made)), "paper", console)
    assert "80.5±0.7 (n=2) | 80.1" in console.file.getvalue()


def test_the_line_of_a_task_is_of_the_data_that_were_just_used(tmp_path):
    """Else a sweep on stand-ins would show the real data's numbers, with the paper's, as if it had made them."""
    real = records([80.0, 81.0], finished="2025-01-01")
    standin = records([99.0], source="stand-in", config_hash="b", finished="2025-02-01")
    save(tmp_path, [*real, *standin])
    assert task_row(tmp_path, "paper", "citation/gcn_cora") == "citation/gcn_cora  accuracy: bp 99.0"
    again = record(79.0, 0, method="dfa", finished="2025-03-01")
    row = task_row(save(tmp_path, [again]), "paper", "citation/gcn_cora")
    assert "99.0" not in row and "bp 80.5 ± 0.7 (paper 80.1) · dfa 79.0 (paper 79.9)" in row
    # a run that failed before it opened its data does not say which they are
    save(tmp_path, [record(None, 1, method="dfa", status="failed", source="", finished="2025-04-01")])
    assert "paper 80.1" in task_row(tmp_path, "paper", "citation/gcn_cora")


def test_what_the_paper_lacks_follows_in_the_catalogues_order(tmp_path):
    """By name, 10,000 rows of Criteo came before 137,139, and a CNN before an MLP."""
    fields = {"domain": "recommendation", "architecture": "dcn", "metric": "auc"}
    rebuild(save(tmp_path, [record(0.7, dataset=name, **fields) for name in ("criteo_10k", "criteo_137k", "criteo")]))
    text = (tmp_path / "tables" / "paper" / "table_2.md").read_text()
    rows = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if "| DCN" in line]
    assert rows == ["Criteo", "Criteo, 137,139 rows of seven days", "Criteo, first 10,000 rows"]


def test_an_overridden_run_has_no_number_of_the_paper_beside_it(tmp_path):
    """Else `task.rows=1000` on real data would stand beside what the paper reached on all of them."""
    made = [*records([80.0]), *records([10.0], variant="task.rows=1000", config_hash="v")]
    rebuild(save(tmp_path, made))
    folder = tmp_path / "tables"
    for suffix in (".md", ".csv", ".tex"):
        text = (folder / "paper" / f"variants{suffix}").read_text()
        assert "task.rows=1000" in text.replace("\\_", "_") and "80.1" not in text and ",paper" not in text
    (line,) = csv.DictReader(io.StringIO((folder / "variants.csv").read_text()))
    assert (line["mean"], line["paper"]) == ("10", "")
