"""The table of gaps: its rows, the paper's beside them, its width, and what becomes of it without records."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.catalogue.discovery import domains
from benchmarks.tables.gap import gap_of
from benchmarks.tables.headline import headline_table
from benchmarks.tables.matrix import matrix_of
from benchmarks.tables.terminal import for_terminal
from benchmarks.tables.text import markdown
from tests.helpers.results_samples import line, picks, rebuild, record, records, runs, save, slice_of, table


def test_table_holds_every_method_beside_the_paper():
    """A user's method must have its row, and a gap of the paper's stands beside the same task only."""
    made = [*runs([80.0] * 2, [70.0] * 2, [40.0] * 2), *records([60.0] * 2, method="mine")]
    made += runs([90.0], [90.0], [10.0], architecture="own", dataset="karate")
    made += [record(1.0, method="dfa", variant="task.optim.lr=1", config_hash="v")]
    made += [record(0.7, domain="recommendation", architecture="fm", dataset="criteo", metric="auc")]
    built = table(made)
    assert [row[:3] for row in built.rows] == [
        ["Cora", "GCN", "dfa"],
        ["Cora", "GCN", "mine"],
        ["karate", "own", "dfa"],
        ["mean of 2", "citation networks", "dfa"],
    ]
    shown = line(built, "Cora", "GCN", "dfa")
    assert [shown[name] for name in ("bp", "score", "shallow", "gap closed")] == [
        "80.0",
        "70.0",
        "40.0",
        "75.0 [75.0, 75.0]",
    ]
    assert shown["paper"] == "99.5"  # (79.9 − 37.0) / (80.1 − 37.0)
    assert line(built, "Cora", "GCN", "mine")["paper"] == line(built, "karate")["paper"] == "–"
    assert "no method to compare: FM on Criteo" in built.notes
    assert "intervals of fewer than 6 seeds" in markdown(built)
    assert table(runs([80.0], None, [40.0])) is None


def test_stand_ins_say_so_and_files_come_and_go(tmp_path):
    """A gap on generated data is no result, and a table without records must not stay behind."""
    made = runs([80.0] * 2, [70.0] * 2, [40.0] * 2, source="stand-in", profile="quick")
    built = table(made, "quick", "stand-in")
    assert "not comparable with the paper" in built.subtitle and "paper" not in built.header
    rebuild(save(tmp_path, made))
    files = [tmp_path / "tables" / "quick" / f"gap_closed_standin{suffix}" for suffix in (".md", ".csv", ".tex")]
    assert (
        all(path.exists() for path in files) and "gap_closed_standin.md" in (tmp_path / "tables/README.md").read_text()
    )
    for path in (tmp_path / "records").rglob("*dfa*/*.json"):
        path.unlink()
    rebuild(tmp_path)
    assert not any(path.exists() for path in files)


def test_the_headline_counts_the_seeds_of_its_gap():
    """Else ten paired runs of bp and dfa would pass for the seeds of a gap that rests on two runs of shallow."""
    made = runs([80.0, 81.0, 82.0], [70.0, 71.0, 73.0], [40.0, 41.0])
    assert line(table(made), "Cora", "GCN", "dfa")["seeds"] == "3"
    built = headline_table(picks(made))
    assert dict(zip(built.header, built.rows[0], strict=True))["seeds"] == "2"
    none = headline_table(picks(runs([80.0] * 3, [70.0] * 3, [80.0] * 2)))
    assert dict(zip(none.header, none.rows[0], strict=True))["seeds"] == "3"


def test_of_samples_of_the_same_data_the_largest_speaks_for_all():
    """A mean of 10,000 and 137,139 rows of Criteo is a number of no data, and counts the first 10,000 twice."""

    def made(architecture, dataset, own):
        fields = {"domain": "recommendation", "metric": "auc", "architecture": architecture, "dataset": dataset}
        return runs([0.8] * 2, [own] * 2, [0.4] * 2, **fields)

    every = [*made("dcn", "criteo_10k", 0.5), *made("dcn", "criteo_137k", 0.6)]
    every += [*made("afn", "criteo", 0.8), *made("afn", "criteo_10k", 0.5)]
    gap = gap_of(slice_of(every))
    assert [row.comparison.tasks for row in gap.rows] == [1, 1, 1, 1, 2]  # no mean over an architecture's datasets
    assert gap.rows[-1].comparison.gap.value == pytest.approx((0.5 + 1.0) / 2)
    named = [(pick.name, pick.row.comparison.dataset) for pick in picks(every)]
    assert named == [("DCN", "criteo_137k"), ("AFN", "criteo"), ("all recommendation", "")]
    shown = {place.architecture: place.row for line in matrix_of([gap], []) for place in line if place.row}
    assert {name: row.comparison.dataset for name, row in shown.items()} == {"dcn": "criteo_137k", "afn": "criteo"}


def test_searched_settings_show_the_gap_where_the_shipped_ones_have_none():
    """On few rows backprop overfits with published settings; numbers of real data come before those of stand-ins."""

    def made(bp, domain="recommendation", **fields):
        return runs([bp] * 2, [0.7] * 2, [0.6] * 2, domain=domain, metric="auc", architecture="dcn", **fields)

    shipped = made(0.6, dataset="criteo_137k", profile="long")
    searched = made(0.8, dataset="criteo_137k", profile="long", domain="tuned_recommendation", task="dcn_tuned")
    standin = made(0.9, dataset="criteo", profile="quick", source="stand-in", task="dcn")
    named = [(pick.name, pick.data) for pick in picks([*shipped, *searched, *standin])]
    data = "real · long · Criteo, 137,139 rows of seven days"
    assert named == [("DCN", data), ("DCN", f"{data} · searched settings")]
    assert [pick.row.comparison.bp.value for pick in picks([*made(0.9, dataset="criteo_137k"), *searched])] == [0.9]
    assert picks(searched) == []  # not what is shipped


def test_samples_are_datasets_of_their_domain_from_the_largest():
    for domain in domains().values():
        for samples in domain.samples.values():
            assert [name for name in domain.datasets if name in samples] == list(samples)


def test_table_fits_140_columns():
    """A folded interval cannot be read at the end of a sweep."""
    auc = runs([0.90, 0.91, 0.92], [0.80, 0.85, 0.81], [0.5, 0.6, 0.5], architecture="gae", metric="auc")
    console = Console(file=io.StringIO(), width=140)
    console.print(for_terminal(table([*auc, *runs([80.0] * 3, [70.0] * 3, [40.0] * 3, architecture="spline")])))
    grid = [text for text in console.file.getvalue().splitlines() if "GAE" in text]
    assert grid and all(text.count("[") == text.count("]") == 2 for text in grid)


def test_intervals_of_few_seeds_say_how_little_they_cover():
    """Two seeds that happen to lie close would pass for certainty, in the headline above all."""
    told = "intervals of fewer than 6 seeds cover less than 95% (of 2 on one task: 50% at most)"  # 1 − 2 / 2²
    few, many = (runs([80.0, 81.0] * n, [70.0, 71.5] * n, [40.0, 41.0] * n) for n in (1, 3))
    for made, expected in ((few, True), (many, False), (runs([80.0], [70.0], [40.0]), False)):
        for built in (table(made), headline_table(picks(made))):
            assert (told in built.notes) == expected
