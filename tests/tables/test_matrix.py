"""The matrix of methods and architectures: every place has a number or a reason, in table, file and picture."""

from __future__ import annotations

import csv
import io
import re

from benchmarks.catalogue.methods import known_methods, shipped_methods
from benchmarks.report.heat import heat_map, svg
from benchmarks.tables.matrix import columns
from benchmarks.tables.text import markdown
from tests.helpers.results_samples import rebuild, record, records, runs, save, tables_of


class NoAnchors:
    def anchor(self, cells):
        return "r1" if cells else ""


def sample(results):
    made = [*runs([80.0] * 3, [70.0] * 3, [40.0] * 3), *records([50.0] * 3, method="fa")]
    made += runs([81.0] * 3, [71.0] * 3, [41.0] * 3, dataset="citeseer")
    made += records([79.0, 80.0, 81.0], method="fa", profile="quick", source="stand-in")
    made += [*records([80.0] * 3, profile="quick", source="stand-in")]
    made += [*records([40.0] * 3, method="shallow", profile="quick", source="stand-in")]
    return save(results, made)


def test_every_place_has_a_number_or_a_reason(tmp_path):
    """Without it a method that nobody ran would look like one that closes nothing."""
    matrix = tables_of(sample(tmp_path)).matrix
    places = {(place.method, place.architecture): place for line in matrix for place in line}
    assert len(places) == (len(known_methods()) - 2) * len(columns()) and set(shipped_methods()) <= set(known_methods())
    assert all((place.closed is None) == bool(place.reason) for place in places.values())
    assert places["dfa", "gcn"].text.startswith("75.0 [")  # the mean over both graphs
    assert round(100 * places["fa", "gcn"].closed) == 25 and places["fa", "gcn"].source == "real"  # not the stand-in's
    assert places["mezo", "gcn"].reason == "not run"
    assert places["pepita", "gcn"].reason.startswith("one feedback point")
    assert places["drtp", "nerf"].reason == "a sample on a ray has no class"


def test_a_run_that_was_skipped_says_why(tmp_path):
    """A method that finds a model unsuitable was tried: without it the place would read as not run."""
    made = [*runs([80.0] * 3, [70.0] * 3, [40.0] * 3)]
    made += [record(None, method="mezo", status="skipped", reason="does not suit it")]
    places = {(p.method, p.architecture): p for line in tables_of(save(tmp_path, made)).matrix for p in line}
    assert places["mezo", "gcn"].reason == "does not suit it" and places["mezo", "gat"].reason == "not run"


def test_the_file_has_a_row_for_each_method_and_dataset(tmp_path):
    """Other tools read it: controls, means, gaps, and reasons where there are none."""
    results = sample(tmp_path)
    rebuild(results)
    rows = list(csv.DictReader(io.StringIO((results / "tables" / "methods.csv").read_text())))
    of_dfa = [row for row in rows if (row["method"], row["architecture"]) == ("dfa", "gcn")]
    assert [row["dataset"] for row in of_dfa] == ["citeseer", "cora"] and of_dfa[1]["n"] == "3"
    assert float(of_dfa[1]["gap_closed"]) == 0.75 and of_dfa[0]["profile"] == "paper"
    assert {row["method"] for row in rows if row["mean"]} == {"bp", "dfa", "fa", "shallow"}
    without = [row for row in rows if not row["mean"]]
    assert without and all(row["reason"] for row in without)
    text = (results / "tables" / "matrix.md").read_text()
    assert "75.0" in text and ": not run" not in text.replace("…: not run", "")
    assert "PEPITA" not in text  # a method without any number has no line for a reader


def test_backprop_has_a_row_where_nothing_is_compared_with_it(tmp_path):
    """A factorization machine has no hidden layer: backprop alone trains it, and it read as not run."""
    alone = {
        "domain": "recommendation",
        "architecture": "fm",
        "dataset": "criteo",
        "metric": "auc",
    }
    results = save(tmp_path, [*runs([80.0] * 3, [70.0] * 3, [40.0] * 3), *records([0.7] * 3, method="bp", **alone)])
    rebuild(results)
    rows = csv.DictReader(io.StringIO((results / "tables" / "methods.csv").read_text()))
    bp, shallow = (row for row in rows if row["architecture"] == "fm" and row["method"] in ("bp", "shallow"))
    assert float(bp["mean"]) == 0.7 and bp["n"] == "3" and bp["reason"] == ""
    assert shallow["reason"] == "no hidden layer that could be left untrained"


def test_backprop_is_not_among_the_others_that_an_architecture_lacks(tmp_path):
    """FM has no hidden layer that could receive feedback: no reason against backprop."""
    results = sample(tmp_path)
    rebuild(results)
    rows = csv.DictReader(io.StringIO((results / "tables" / "methods.csv").read_text()))
    reasons = {row["method"]: row["reason"] for row in rows if row["architecture"] == "fm"}
    assert reasons["bp"] == "not run" and reasons["fa"].startswith("no hidden layer")


def test_it_disappears_with_its_records(tmp_path):
    results = sample(tmp_path)
    rebuild(results)
    for path in (results / "records").rglob("*fa*/*.json"):
        path.unlink()
    rebuild(results)
    assert not (results / "tables" / "matrix.md").exists()


def test_a_plugin_s_method_stays_where_its_file_is_not_loaded(tmp_path):
    """`make tables` without PLUGINS, or somebody else's, deleted the matrix that the sweep had written."""
    results = save(tmp_path, runs([80.0] * 3, [70.0] * 3, [40.0] * 3, method="mine"))
    places = {(p.method, p.architecture): p for line in tables_of(results).matrix for p in line}
    assert places["mine", "gcn"].text.startswith("75.0 [") and places["mine", "gat"].reason == "not run"
    rebuild(results)
    assert "mine" in (results / "tables" / "matrix.md").read_text()
    assert "mine,gcn,cora" in (results / "tables" / "methods.csv").read_text()


def test_the_heat_map_says_what_the_table_says(tmp_path):
    """A tile is a number, a colour and a link; one of stand-ins is dashed, and one without number says why."""
    tables = tables_of(sample(tmp_path))
    heat = heat_map(tables.matrix, NoAnchors())
    assert [line.label for line in heat.lines] == ["dfa", "FA"]
    tile = heat.lines[0].tiles[columns().index("gcn")]
    assert (tile.text, tile.anchor, tile.dashed) == ("75", "r1", False) and "75.0 [" in tile.spoken
    darker = heat.lines[1].tiles[columns().index("gcn")]
    assert darker.text == "25" and darker.colour != tile.colour
    drawn = svg(heat, linked=True)
    assert drawn.count("<rect") == 1 + 2 * len(columns()) and 'href="#r1"' in drawn
    assert re.search(r"GCN, fa: 25\.0", drawn) and "href" not in svg(heat, linked=False)
    assert "75.0" in markdown(tables.matrix_table)
