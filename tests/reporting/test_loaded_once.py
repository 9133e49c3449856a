"""Commands read each file once, gather the records once, and draw each chart once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.curves import draw_all
from benchmarks.curves.chart import Chart, Panel, Series
from benchmarks.curves.draw import svg
from benchmarks.evidence import main as evidence
from benchmarks.records import aggregation, packs, record, run_history
from benchmarks.report import write
from benchmarks.tables import rebuild
from benchmarks.tables.terminal import show
from benchmarks.terminal.console import make_console
from tests.helpers.report_samples import filled
from tests.helpers.results_samples import tables_of


@pytest.fixture
def results(tmp_path):
    """A results folder with two packs and some local records."""
    folder = filled(tmp_path / "results")
    records = folder / "records"
    for profile in ("paper", "quick"):
        pack = folder / "evidence" / f"{profile}.jsonl"
        command = ["pack", str(pack), "--profile", profile, "--records", str(records), "--histories", "9"]
        assert evidence(command) == 0
    for path in (records / "quick").rglob("*.json"):
        path.unlink()
    return folder


@pytest.fixture
def work(monkeypatch):
    """Counts every read of a file, by name, and every gathering of records."""
    done = Counter()

    def counted(module, name, key):
        original = getattr(module, name)

        def wrapper(*args):
            done[key(*args)] += 1
            return original(*args)

        monkeypatch.setattr(module, name, wrapper)

    for module in (packs, record, run_history):
        counted(module, "read_bytes", lambda path, *_: path)
    counted(aggregation, "_groups", lambda *_: "gathered")
    return done


def test_a_report_reads_and_gathers_once(results, work):
    """Without it a report would parse every pack three times and gather three times, as it once did."""
    write(results)
    assert {path.name for path in work if path != "gathered"} >= {"paper.jsonl", "quick.jsonl"}
    assert work["gathered"] == 1 and [path for path, times in work.items() if times > 1] == []


def test_all_tables_of_a_sweep_come_from_one_reading(results, work):
    """Without it the end of a sweep would read all records for its files, and once more for the screen."""
    tables = tables_of(results)
    rebuild(tables)
    show(tables, "paper", make_console())
    assert work["gathered"] == 1 and max(work.values()) == 1


def test_many_charts_are_drawn_as_one_is(monkeypatch):
    """Without it charts drawn by several processes could differ from those of `svg`, or change places."""
    x = np.arange(4.0)
    charts = [
        Chart(
            f"c{number}", f"chart {number}", "", "steps", (Panel("m", "", "m", (Series("bp", "bp", x, x, x, x, 1),)),)
        )
        for number in range(8)
    ]
    monkeypatch.setattr(draw_all, "_cores", lambda: 2)
    assert list(draw_all.svgs(charts)) == [svg(chart) for chart in charts]
