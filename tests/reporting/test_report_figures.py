"""The report's own figures: the headline's choice and its marks, alignment over depth, pictures as data."""

from __future__ import annotations

import base64
import io
import math
import re
import statistics
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from benchmarks.curves import svg as chart_svg
from benchmarks.curves.chart import Chart, Panel, Series
from benchmarks.records.aggregation import aggregate
from benchmarks.report import write
from benchmarks.report.depth import depth_figures
from benchmarks.report.forest import LEFT, RIGHT, Forest, Group, Line, Mark, svg
from benchmarks.report.headline import headline_figure
from benchmarks.report.pictures import of_chart, of_file
from benchmarks.report.provenance import Provenance
from benchmarks.tables.headline import headline_table
from tests.helpers.report_samples import BP, DFA, SHALLOW, citation, noise, picture, standins
from tests.helpers.results_samples import picks, rebuild, record, runs, runs_in_memory, save

SVG = "{http://www.w3.org/2000/svg}"


def names(made):
    return [(pick.name, pick.row.comparison.method, pick.source, pick.profile) for pick in picks(made)]


def deepfm(bp, dfa, shallow, **fields):
    where = {"architecture": "deepfm", "dataset": "criteo", "domain": "recommendation", "metric": "auc"} | fields
    return runs(bp, dfa, shallow, **where)


def test_real_data_and_the_longest_profile_come_first():
    """A stand-in's gap in place of a real one would pass for a result."""
    made = [*citation(), *citation(profile="long"), *citation(source="stand-in"), *citation(profile="smoke")]
    assert names(made) == [("GCN", "dfa", "real", "paper")]
    assert names([*citation(profile="long"), *citation(profile="quick")]) == [("GCN", "dfa", "real", "long")]
    assert names([*citation(source="stand-in"), *citation(profile="quick")]) == [("GCN", "dfa", "real", "quick")]
    assert names([*citation(profile="quick"), *citation(profile="smoke")]) == [("GCN", "dfa", "real", "quick")]
    assert names(citation(profile="smoke")) == [("GCN", "dfa", "real", "smoke")]


def test_real_data_without_a_gap_say_by_how_much_backprop_and_shallow_differ():
    """A dash alone says nothing; a stand-in's gap in its place would pass for what real data show."""
    none = deepfm([0.7, 0.71, 0.72], [0.7] * 3, [0.7, 0.72, 0.74], profile="long")
    (only,) = picks([*none, *standins()])
    assert (only.source, only.profile) == ("real", "long") and only.row.comparison.gap is None
    value, (low, high) = only.row.comparison.room.value, only.row.comparison.room.interval
    assert value == pytest.approx(-0.01) and low < value < high
    told = f"bp − shallow: −.0100 [−{-low:.4f}, ".replace("−0.", "−.")
    assert only.reason.startswith(f"no gap: bp is not clearly better than shallow ({told}") and told in drawn(none)
    assert [note for note in headline_table([only]).notes if told in note]


def test_where_stand_ins_are_all_there_is_the_next_that_has_a_gap_follows():
    none = deepfm([0.7, 0.71], [0.7, 0.71], [0.7, 0.72], profile="long", source="stand-in")
    first, second = picks([*none, *standins()])
    assert (first.profile, second.profile) == ("long", "quick") and "not clearly better" in first.reason
    assert second.row.comparison.gap.value == pytest.approx(0.5) and second.reason == ""


def test_a_mean_without_a_gap_says_by_how_much_backprop_and_shallow_differ():
    deep = deepfm([0.7] * 2, [0.7] * 2, [0.71] * 2, profile="long")
    cross = deepfm([0.7] * 2, [0.7] * 2, [0.69] * 2, profile="long", architecture="dcn", task="dcn")
    mean = picks([*deep, *cross])[-1]
    assert mean.mean and mean.row.comparison.room.value == pytest.approx(0)
    assert "no mean gap: 1 of 2 tasks have one · long" in drawn([*deep, *cross])


def test_searched_settings_are_told_apart_in_the_picture():
    """They are not what is shipped, and stand in the row below it under the same name."""
    shipped = deepfm([0.6] * 2, [0.7] * 2, [0.6] * 2, profile="long")
    searched = deepfm([0.8] * 2, [0.7] * 2, [0.6] * 2, profile="long", domain="tuned_recommendation", task="tuned")
    made = [*shipped, *searched]
    told = [one.text for one in ElementTree.fromstring(drawn(made)).iter(f"{SVG}text") if " · long" in (one.text or "")]
    assert told == ["bp − shallow: +.0000 [+.0000, +.0000] · long", "50.0 [50.0, 50.0] · long, searched"]


def test_architectures_are_means_over_datasets_and_domains_follow():
    """A dataset's gap under the architecture's name would be one of several, chosen by accident."""
    made = [*citation(), *citation(dataset="pubmed"), *citation(architecture="gat")]
    found = picks(made)
    assert [(pick.name, pick.mean, pick.row.comparison.tasks) for pick in found] == [
        ("GCN", False, 2),
        ("GATConv", False, 1),
        ("all citation networks", True, 3),
    ]
    gap = (statistics.fmean(DFA) - statistics.fmean(SHALLOW)) / (statistics.fmean(BP) - statistics.fmean(SHALLOW))
    assert all(pick.row.comparison.gap.value == pytest.approx(gap) for pick in found)
    assert [pick.data for pick in found] == [
        "real · paper · 2 datasets",
        "real · paper · Cora",
        "real · paper · 3 tasks",
    ]


def test_the_headline_table_comes_and_goes_with_its_records(tmp_path):
    """The README quotes this file; one that stays behind would be quoted for results that are gone."""
    rebuild(save(tmp_path, citation()))
    text = (tmp_path / "tables" / "headline.md").read_text()
    assert "| GCN" in text and "80.5" in text and "headline.md" in (tmp_path / "tables" / "README.md").read_text()
    for path in (tmp_path / "records").rglob("*.json"):
        path.unlink()
    save(tmp_path, [record(80.0)])
    rebuild(tmp_path)
    assert not list((tmp_path / "tables").glob("headline*"))
    assert "headline" not in (tmp_path / "tables" / "README.md").read_text()
    assert headline_table(picks([record(80.0)])) is None


def drawn(made):
    return svg(headline_figure(picks(made), Provenance(runs_in_memory(made))), linked=False)


def circles(text):
    return [one for one in ElementTree.fromstring(text).iter(f"{SVG}circle")]


def test_marks_stand_where_their_numbers_are(tmp_path):
    """A picture that disagrees with its table is believed all the same."""
    made = [*citation(), *standins()]
    provenance = Provenance(runs_in_memory(made))
    figure = headline_figure(picks(made), provenance)
    legend, lines = circles(svg(figure, linked=False))[:2], circles(svg(figure, linked=False))[2:]
    assert [one.get("fill") for one in legend] == ["#D55E00", "#ffffff"]  # real filled, stand-in hollow
    deep, gcn = lines  # view synthesis, recommendation, citation networks: the paper's order
    per_unit = (RIGHT - LEFT) / (figure.high - figure.low)
    gap = 100 * (statistics.fmean(DFA) - statistics.fmean(SHALLOW)) / (statistics.fmean(BP) - statistics.fmean(SHALLOW))
    assert float(gcn.get("cx")) == pytest.approx(LEFT + (gap - figure.low) * per_unit, abs=0.06)
    assert float(deep.get("cx")) == pytest.approx(LEFT + (50 - figure.low) * per_unit, abs=0.06)
    assert deep.get("fill") == "#ffffff" and gcn.get("fill") == "#D55E00"
    text = svg(figure, linked=False)
    assert "stand-in, quick" in text and f"{gap:.1f} [" in text and "<a " not in text
    assert re.search(r'<a href="#[rs]\d+">', svg(figure, linked=True))


def test_a_legend_has_one_entry_per_colour():
    """Placements of a method share its colour; equal marks with different names would explain nothing."""
    macro = [one for one in citation(architecture="gat") if one.method != "dfa"]
    macro += [replace(one, method="dfa_macro") for one in citation(architecture="gat") if one.method == "dfa"]
    made = [*citation(), *macro]
    figure = headline_figure(picks(made), Provenance(runs_in_memory(made)))
    assert [key.text for key in figure.legend[:-1]] == ["dfa, dfa_macro (real data)"]
    assert figure.legend[-1].text == "paper"


def test_what_lies_beyond_the_axis_ends_in_an_arrow_and_not_in_a_mark():
    """A mark at the axis' end would be read as its value."""
    lines = (Line("in", (Mark(0.5, 0.2, 0.8),), "0.5"), Line("out", (Mark(3.0, 0.5, 4.0),), "3.0"))
    forest = Forest("t", "d", (Group("", lines),), 0.0, 1.0, ((0.0, "0"),), "x")
    text = svg(forest, linked=False)
    assert len(circles(text)) == 1
    bars = re.findall(r'd="M([\d.]+) [\d.]+H([\d.]+)"', text)
    assert [tuple(map(float, bar)) for bar in bars] == [
        (LEFT + 0.2 * (RIGHT - LEFT), LEFT + 0.8 * (RIGHT - LEFT)),
        (LEFT + 0.5 * (RIGHT - LEFT), RIGHT),
    ]
    assert len(re.findall(r'l-?\d+ 4l-?\d+ 4"', text)) == 1


def test_the_headline_is_a_file_of_its_own_on_white(tmp_path):
    """The README shows it, on a dark ground too; elsewhere than in the results folder it must not be touched."""
    made = save(tmp_path / "results", citation())
    write(made, tmp_path / "page.html")
    write(made, profile="paper")
    assert not (made / "figures").exists()
    assert write(made) == [made / "report.html", made / "figures" / "headline.svg"]
    root = ElementTree.parse(made / "figures" / "headline.svg").getroot()
    ground = root.find(f"{SVG}rect")
    assert (ground.get("fill"), ground.get("width")) == ("#ffffff", root.get("width"))
    assert root.get("role") == "img" and "GCN, dfa, real · paper · Cora: 97." in root.find(f"{SVG}desc").text


def depth(made, orders=None):
    cells = aggregate(made).cells
    return list(depth_figures(cells, Provenance(runs_in_memory(made)), orders or {}))


def aligned(means, seed, deepest=None, **more):
    points = {
        name: {
            "mean": mean,
            "std": 0.1,
            "samples": 4,
            "quantiles": [mean + shift for shift in (-0.2, -0.1, 0, 0.1, 0.2)],
        }
        | more
        for name, mean in means.items()
    }
    scores = {"accuracy": 80.0} | ({"alignment_cosine_mean": means[deepest]} if deepest else {})
    return record(80.0, seed, method="dfa", alignment={"points": points}, metrics=scores)


def test_alignment_over_depth_is_a_mean_over_seeds():
    """The last seed alone, or quantiles of another seed, would look the same."""
    made = [aligned({"point": 0.2}, 0), aligned({"point": 0.5}, 1)]
    (figure,) = depth([*made, record(80.0, 2, method="dfa", status="failed", alignment=made[0].alignment)])
    ((line,),) = [group.lines for group in figure.groups]
    (mark,) = line.marks
    found = (mark.value, mark.low, mark.inner_low, mark.inner_high, mark.high)
    assert found == pytest.approx((0.35, 0.15, 0.25, 0.45, 0.55)) and line.text == "0.35 ± 0.10"
    assert figure.groups[0].title == "GCN on Cora · dfa · 2 seeds" and line.anchor == "r1"


def test_points_stand_from_the_input_upwards():
    """A record's points are in alphabetical order: points.10 before points.2, and the input's last."""
    means = {"points.10": 0.4, "points.2": 0.3, "the_first": 0.2}
    (figure,) = depth([aligned(means, 0, deepest="the_first")])
    assert [line.label for line in figure.groups[0].lines] == ["the_first", "points.2", "points.10"]
    order = ("points.2", "the_first", "points.10", "another")
    (figure,) = depth([aligned(means, 0, deepest="the_first")], {"citation/gcn_cora": order})
    assert [line.label for line in figure.groups[0].lines] == ["points.2", "the_first", "points.10"]
    made = aligned(means, 0, deepest="the_first")
    made.alignment["order"] = ["points.10", "the_first", "points.2"]  # newer records say it themselves
    (figure,) = depth([made], {"citation/gcn_cora": order})
    assert [line.label for line in figure.groups[0].lines] == made.alignment["order"]


def test_weight_gradients_are_shown_where_records_have_them():
    """Two marks in one place, or one on the other's line, could not be told apart."""
    weights = {"cosine": 0.7, "rows": 9, "mean": 0.6, "std": 0.1, "quantiles": [0.5, 0.6, 0.7, 0.8, 0.9]}
    (figure,) = depth([aligned({"point": 0.2}, 0, weights=weights)])
    first, second = figure.groups[0].lines[0].marks
    assert (first.value, second.value) == (0.2, 0.7) and second.hollow and second.shift and second.shape == "square"
    assert "weights 0.70" in figure.groups[0].lines[0].text and len(figure.legend) == 2


def test_a_chart_as_data_is_the_same_chart():
    """A character that is not escaped, or one too many, and the browser shows a broken picture."""
    x, y = np.arange(3.0), np.array([1.0, 2.0, 4.0])
    panel = Panel("m", "", "100% \"a\" <b> #1 'c'", (Series("bp", "bp", x, y, y, y, 1),))
    chart = Chart("long/x", "title · é", "about", "steps", (panel,))
    shown = of_chart(chart, chart_svg(chart), "r1", 0)
    assert shown.address.startswith("data:image/svg+xml,") and not set('"<>#\n') & set(shown.address)
    ours = ElementTree.fromstring(unquote(shown.address.partition(",")[2]))
    theirs = ElementTree.fromstring(chart_svg(chart))
    assert [one.text for one in ours.iter(f"{SVG}text")] == [one.text for one in theirs.iter(f"{SVG}text")]
    paths = [[one.get("d") for one in root.iter(f"{SVG}path")] for root in (ours, theirs)]
    assert [one.count("L") for one in paths[0]] == [one.count("L") for one in paths[1]]
    numbers = [[float(n) for n in re.findall(r"-?[\d.]+", " ".join(found))] for found in paths]
    assert np.abs(np.subtract(*numbers)).max() <= 0.051
    assert (shown.width, shown.height) == pytest.approx(
        [float(theirs.get(k)[:-2]) * 4 / 3 for k in ("width", "height")], abs=1
    )
    assert "at the end: bp 4" in shown.alt


def test_a_picture_whose_second_part_is_damaged_is_one_line(tmp_path):
    """Pillow raises SyntaxError for it."""
    path = noise(tmp_path / "large.png")
    head, first, rest = path.read_bytes().split(b"IDAT", 2)
    path.write_bytes(b"IDAT".join([head, first]) + b"\xffDAT" + rest)
    with pytest.raises(ValueError, match=r"large\.png: not a readable picture"):
        of_file(path, "large")


def test_small_pictures_go_in_as_they_are_and_large_ones_as_webp(tmp_path):
    """Contact sheets as PNG fill the limit; a picture that changes its size or content would be another picture."""
    small = of_file(picture(tmp_path / "small.png"), "small")
    assert base64.b64decode(small.address.partition("base64,")[2]) == (tmp_path / "small.png").read_bytes()
    assert (small.width, small.height) == (30, 20)
    path = noise(tmp_path / "large.png")
    large = of_file(path, "large")
    assert large.address.startswith("data:image/webp;base64,") and len(large.address) < path.stat().st_size
    with Image.open(io.BytesIO(base64.b64decode(large.address.partition("base64,")[2]))) as image:
        assert image.size == (300, 300) and (large.width, large.height) == image.size
        with Image.open(path) as original:
            error = np.asarray(image.convert("RGB"), float).mean() - np.asarray(original, float).mean()
    assert abs(error) < 5 and math.isfinite(error)
