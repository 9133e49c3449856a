"""Tasks with the settings of a search: no row may look like the shipped task's, and none is in the headline."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.catalogue.names import title
from benchmarks.records.aggregation import aggregate
from benchmarks.report.depth import depth_figures
from benchmarks.report.provenance import Provenance
from benchmarks.tables.cost import cost_table
from benchmarks.tables.files import variants_table
from benchmarks.tables.headline import headline_table
from benchmarks.tables.table import TableKind
from tests.helpers.report_samples import POINTS
from tests.helpers.results_samples import picks, rebuild, runs, runs_in_memory, save, slice_of, table, tables_of


def both():
    """A shipped task, and the same network on the same data with the settings of a search, as `tune` names it."""
    shipped = runs([80.0] * 2, [70.0] * 2, [40.0] * 2)
    searched = runs([80.0] * 2, [78.0] * 2, [40.0] * 2)
    return shipped + [replace(one, domain="tuned_citation", task="citation/gcn_cora_best") for one in searched]


def test_gap_and_cost_name_the_search():
    """Else two rows "GCN on Cora, dfa" with different numbers would stand below each other."""
    gaps = {tuple(row[:3]): row[6] for row in table(both()).rows}
    assert gaps == {("Cora", "GCN", "dfa"): "75.0 [75.0, 75.0]", ("Cora", "GCN (tuned)", "dfa"): "95.0 [95.0, 95.0]"}
    cost = cost_table(slice_of(both()))
    assert {row[1] for row in cost.rows} == {"GCN", "GCN (tuned)"}
    differing = [replace(one, code={"commit": one.method + one.task}) for one in both()]
    notes = cost_table(slice_of(differing)).notes
    assert any("GCN on Cora (dfa, shallow), GCN (tuned) on Cora (dfa, shallow)" in note for note in notes)
    lonely = [one for one in both() if one.domain == "citation" or one.method == "bp"]
    assert "no method to compare: GCN (tuned) on Cora" in table(lonely).notes


def test_a_mean_over_searched_tasks_is_named_once():
    """Else the mean over a searched domain would read like that of the shipped one."""
    second = [replace(one, architecture="gat", task=f"{one.task}_gat") for one in both()]
    names = [row[1] for row in table([*both(), *second]).rows if row[0].startswith("mean")]
    assert names == ["citation networks", "citation networks (tuned)"]
    assert title("tuned_citation") == "citation networks (tuned)"


def test_result_tables_hold_shipped_tasks_alone(tmp_path):
    """Else the settings of a search would stand beside the paper's numbers."""
    shown = [one for one in tables_of(save(tmp_path, both())).tables if one.kind is TableKind.RESULTS]
    assert shown and not any("78.0" in text for one in shown for row in one.rows for text in row)
    assert not any(cell.domain.startswith("tuned") for one in shown for row in one.behind for at in row for cell in at)


def test_the_headline_leaves_searches_out(tmp_path):
    """Else a reader of the README would take the better of two GCNs for ours."""
    (row,) = headline_table(picks(both())).rows
    assert row[0] == "GCN" and "75.0 [75.0, 75.0]" in row
    alone = [one for one in both() if one.domain != "citation"]
    assert headline_table(picks(alone)) is None
    rebuild(save(tmp_path, alone))
    index = (tmp_path / "tables" / "README.md").read_text()
    assert "gap_closed.md" in index and "headline.md" not in index


def test_overridden_runs_and_figures_name_the_search():
    """Else a variant of a searched task, or its alignment, would pass for that of the shipped one."""
    made = [replace(one, variant="task.optim.lr=1", config_hash="v") for one in both()]
    names = [row[1] for row in variants_table(slice_of(made)).rows]
    assert set(names) == {"GCN", "GCN (tuned)"}
    probed = [replace(one, alignment={"points": POINTS}) for one in both() if one.method == "dfa"]
    figures = list(depth_figures(aggregate(probed).cells, Provenance(runs_in_memory(probed)), {}))
    assert [figure.title for figure in figures] == [
        "citation networks: alignment over depth",
        "citation networks (tuned): alignment over depth",
    ]
    assert figures[1].groups[0].title.startswith("GCN (tuned) on Cora")
