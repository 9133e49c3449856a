"""Curves: the right runs, the right numbers, and a picture that holds them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from benchmarks.curves import charts_of, line_id, svg, task_runs
from benchmarks.curves.__main__ import main
from benchmarks.curves.alignment import by_network
from benchmarks.curves.chart import over_seeds
from benchmarks.records.record import Record, write_record
from benchmarks.records.result_set import ResultSet
from tests.helpers.results_samples import hash_of, record, records
from tests.hostile.suite import call

COLUMNS = ("step", "epoch", "train_loss", "lr", "valid_accuracy", "train_seconds")
POINTS = ("coarse.points.0", "coarse.points.1", "coarse.direction_point", "fine.points.0", "fine.direction_point")


def keep(results: Path, made: Record, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS) -> None:
    """Write ``made`` and its history, cell by cell."""
    path = write_record(made, results / "records").with_suffix(".csv")
    path.write_text("\n".join(",".join(map(str, row)) for row in [columns, *rows]) + "\n")


def three_steps(level: float, seconds: float = 1.0) -> list[list[object]]:
    """Steps 10, 20, 30: the accuracy rises from ``level`` by ones, the loss falls from 100 by tenths."""
    return [[10 * n, n, 1000 / 10**n, 0.1, level + n - 1, n * seconds] for n in (1, 2, 3)]


def two_methods(results: Path) -> Path:
    """Three seeds of bp at accuracies 70, 72, 77, one of dfa at 60."""
    for made, level in zip(records([1.0, 2.0, 3.0]), (70, 72, 77), strict=True):
        keep(results, made, three_steps(level))
    keep(results, record(method="dfa"), three_steps(60))
    return results


def with_alignment(results: Path) -> Path:
    """One run of dfa that measured alignment at steps 20 and 30, first at the points nearest the input."""
    columns = [*COLUMNS, *(f"alignment_cosine_mean/{point}" for point in POINTS)]
    cosines = [[""] * 5, [0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.4, 0.6, 0.8, 1.0]]
    rows = [[*row, *more] for row, more in zip(three_steps(60), cosines, strict=True)]
    keep(results, record(method="dfa"), rows, columns)
    keep(results, record(), three_steps(70))
    return results


def charts(results: Path, x: str = "step", chosen: Sequence[str] = (), variants: bool = False):
    return charts_of(task_runs(ResultSet.load(results).select(variants=variants)), x, chosen)


def drawn(text: str, name: str) -> np.ndarray:
    """The vertices of the line with the id ``name`` in an SVG file, (points, 2)."""
    (group,) = [one for one in ElementTree.fromstring(text).iter() if one.get("id") == name]
    (path,) = [one.get("d") for one in group.iter() if one.tag.endswith("}path")]
    return np.array([[float(number) for number in pair] for pair in re.findall(r"[ML] (\S+) (\S+)", path)])


def strokes(text: str, names: Sequence[str]) -> list[dict[str, str]]:
    """The style of each line."""
    groups = {one.get("id"): one for one in ElementTree.fromstring(text).iter()}
    styles = [next(one.get("style") for one in groups[name].iter() if one.get("style")) for name in names]
    return [dict(part.split(": ", 1) for part in style.split("; ")) for style in styles]


def test_a_line_is_the_mean_and_the_range_of_its_seeds():
    """Else a band or a mean could be over points instead of seeds, and still look plausible."""
    x = np.array([1.0, 2.0, 4.0])
    line = over_seeds("bp", "bp", [(x, np.array([1.0, 5.0, 9.0])), (x, np.array([3.0, 3.0, np.nan]))])
    assert (line.x.tolist(), line.mean.tolist()) == ([1, 2], [2, 4]) and line.shortened
    assert (line.low.tolist(), line.high.tolist(), line.seeds) == ([1, 3], [3, 5], 2)
    assert over_seeds("bp", "bp", [(x, np.full(3, np.nan))]) is None
    assert over_seeds("bp", "bp", [(x[:1], x[:1]), (x[1:], x[1:])]) is None  # no place that both have


def test_seeds_at_different_places_are_averaged_at_the_same_place():
    """Else the n-th rows would be averaged: with times of their own, seeds would be compared at different times."""
    times = [np.array([1.0, 3.0, 6.0]), np.array([2.0, 4.0, 8.0]), np.array([1.5, 5.0])]
    line = over_seeds("bp", "bp", [(x, slope * x) for x, slope in zip(times, (1.0, 2.0, 6.0), strict=True)])
    assert line.x.tolist() == [2, 3, 4, 5] and line.shortened
    np.testing.assert_allclose(line.mean, 3 * line.x)
    np.testing.assert_allclose([line.low, line.high], [line.x, 6 * line.x])
    many = np.arange(1000.0)
    short = over_seeds("bp", "bp", [(many, many**2)], most=50)
    assert len(short.x) == 50 and short.x[[0, -1]].tolist() == [0, 999] and not short.shortened
    np.testing.assert_allclose(short.mean, short.x**2)


def test_the_chart_shows_the_runs_behind_the_tables(tmp_path):
    """Else former settings, failed runs or overrides would be mixed into the means."""
    two_methods(tmp_path)
    former = record(9.0, 5, config_hash="old", finished="2024-01-01T00:00:00")
    diverged = record(None, 3, status="diverged")
    for made in (former, diverged, record(9.0, variant="task.optim.lr=1", config_hash="v")):
        keep(tmp_path, made, three_steps(0))
    keep(tmp_path, record(None, method="shallow", status="diverged"), three_steps(0))
    write_record(record(method="dfa", seed=1), tmp_path / "records")  # without a history
    (learning,) = charts(tmp_path)
    assert learning.name == "paper/citation/gcn_cora" and learning.title == "citation/gcn_cora"
    assert learning.subtitle == "profile paper · real data · mean and range over 3 seeds · shallow: diverged (0/1 ok)"
    accuracy, loss = learning.panels
    assert (accuracy.label, loss.label) == ("validation accuracy (%)", "training loss")
    assert (accuracy.logarithmic, loss.logarithmic) == (False, True)
    assert [line.label for line in accuracy.series] == ["bp (3/4 runs)", "dfa (1/2 runs)"]
    bp, dfa = accuracy.series
    assert (bp.x.tolist(), bp.mean.tolist()) == ([10, 20, 30], [73, 74, 75])
    assert (bp.low.tolist(), bp.high.tolist(), dfa.mean.tolist()) == ([70, 71, 72], [77, 78, 79], [60, 61, 62])
    (overridden,) = charts(tmp_path, variants=True)
    assert [line.name for line in overridden.panels[0].series] == ["bp", "bp task.optim.lr=1", "dfa"]


def test_axes_and_metrics_can_be_chosen(tmp_path):
    """Else `--x seconds` would show steps under the wrong label."""
    keep(tmp_path, record(metric="loss"), three_steps(70, seconds=7.0))
    (default,) = charts(tmp_path)
    assert [panel.name for panel in default.panels] == ["valid_accuracy", "train_loss"]  # no valid_loss: all valid_…
    (chosen,) = charts(tmp_path, "seconds", ["train_loss", "valid_psnr"])
    assert [panel.name for panel in chosen.panels] == ["train_loss"]
    assert chosen.x_label == "training time (s)" and chosen.panels[0].series[0].x.tolist() == [7, 14, 21]


def test_stand_ins_have_a_figure_of_their_own(tmp_path):
    """Else numbers from generated data would replace, or join, those of real data."""
    for source in ("real", "stand-in"):
        keep(tmp_path, record(source=source, config_hash=source), three_steps(70))
    real, standin = charts(tmp_path)
    assert (real.name, standin.name) == ("paper/citation/gcn_cora", "paper/citation/gcn_cora_standin")
    assert "stand-in data: not comparable with the paper" in standin.subtitle and "stand-in" not in real.subtitle


def test_the_file_holds_every_line_to_scale(tmp_path):
    """Else a line could be left out, clipped, simplified away, or drawn on an axis that is not its own."""
    (chart,) = charts(two_methods(tmp_path))
    text = svg(chart)
    for panel in chart.panels:
        height = np.log10 if panel.logarithmic else np.asarray
        lines = [(drawn(text, line_id(panel, one)), one) for one in panel.series]
        found = np.concatenate([vertices for vertices, _ in lines])
        for place, wanted in enumerate(
            (np.concatenate([one.x for _, one in lines]), np.concatenate([height(one.mean) for _, one in lines]))
        ):
            scale, offset = np.polyfit(wanted, found[:, place], 1)
            np.testing.assert_allclose(found[:, place], scale * wanted + offset, atol=1e-3)
            assert (scale > 0) == (place == 0)  # SVG counts downwards
    styles = strokes(text, [line_id(chart.panels[0], one) for one in chart.panels[0].series])
    assert styles[0].get("stroke-dasharray") is None and styles[1]["stroke-dasharray"]
    assert styles[0]["stroke"] != styles[1]["stroke"]
    assert text.count('id="FillBetween') == 2  # a band for bp in each panel, none for the one run of dfa
    assert all(word in text for word in (">citation/gcn_cora<", "validation accuracy (%)", ">bp<", ">dfa (n=1)<"))


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    """Else every rebuild would change committed files."""
    chart, *_ = charts(two_methods(tmp_path))
    first = svg(chart)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "other", "axes.grid": False, "lines.linewidth": 9}):
        assert svg(chart) == first
    assert "<dc:date>" not in first and matplotlib.__version__ not in first


def test_files_stay_small_however_long_the_runs_are(tmp_path):
    """Else a run evaluated on every step would put megabytes into the repository."""
    rows = [[n, n, 1 + n, 0.1, np.cos(n), n / 7] for n in range(3000)]
    for number in range(12):
        variant = f"task.optim.lr={number}" if number else ""
        for made in records([1.0, 2.0], method="bp", variant=variant, config_hash=str(number)):
            keep(tmp_path, made, rows)
    (chart,) = charts(tmp_path, "seconds", variants=True)
    assert len(svg(chart)) < 200_000 and [len(one.x) for one in chart.panels[0].series] == [83] * 12  # 6000 / 3 / 24
    (chart,) = charts(tmp_path, chosen=["train_loss"])  # a straight line, of which two vertices would do
    assert len(drawn(svg(chart), "train_loss--bp")) == len(chart.panels[0].series[0].x) == 150


def test_alignment_has_a_line_per_point_deepest_first(tmp_path):
    """Else layers would be mixed up, or gaps between measurements drawn as values."""
    _, chart = charts(with_alignment(tmp_path))
    assert chart.name == "paper/citation/gcn_cora_alignment" and chart.by_depth
    coarse, fine = chart.panels
    assert (coarse.title, fine.title) == ("coarse", "fine")
    assert [one.label for one in coarse.series] == ["points.0", "points.1", "direction_point"]
    assert [one.name for one in fine.series] == ["fine.points.0", "fine.direction_point"]
    assert [one.mean.tolist() for one in coarse.series] == [[0.1, 0.2], [0.2, 0.4], [0.3, 0.6]]
    assert all(one.x.tolist() == [20, 30] for panel in chart.panels for one in panel.series)
    text = svg(chart)
    for panel in chart.panels:
        names = [line_id(panel, one) for one in panel.series]
        assert [len(drawn(text, name)) for name in names] == [2] * len(names)
        bright = [sum(bytes.fromhex(style["stroke"].strip("#"))) for style in strokes(text, names)]
        assert bright == sorted(bright) and len(set(bright)) == len(bright)


def test_networks_are_told_apart_by_their_first_name():
    """Else the fine network's points would hide the coarse one's, or one network be torn into panels."""
    assert list(by_network(POINTS)) == ["coarse", "fine"]
    for points in (["point"], ["point_in", "points.0", "points.1"], ["mlp.points.0", "mlp.points.1"]):
        assert by_network(points) == {"": points}


def test_methods_with_alignment_have_panels_of_their_own(tmp_path):
    """Else two methods' points, which have the same names, would be averaged or overdrawn."""
    columns = ["step", "train_loss", "alignment_cosine_mean/point"]
    keep(tmp_path, record(method="dfa"), [[1, 1, 0.5]], columns)
    keep(tmp_path, record(method="other"), [[1, 1, 0.7]], columns)
    _, chart = charts(tmp_path)
    assert [(panel.title, panel.series[0].mean.tolist()) for panel in chart.panels] == [
        ("dfa", [0.5]),
        ("other", [0.7]),
    ]
    assert len({line_id(panel, panel.series[0]) for panel in chart.panels}) == 2
    (line,) = [one for one in ElementTree.fromstring(svg(chart)).iter() if one.get("id") == "dfa--point"]
    assert any(one.tag.endswith("}use") for one in line.iter())  # the marker of a line that is one point


def test_the_command_writes_what_was_asked_for(tmp_path, capsys):
    """Else a pattern would be ignored, or remarks on runs that are not shown get lost."""
    results = with_alignment(tmp_path / "results")
    keep(results, record(dataset="pubmed"), three_steps(60))
    keep(results, replace(record(), profile="quick"), three_steps(60))
    write_record(record(seed=1), results / "records")
    assert main(["--results", str(results), "--tasks", "*/*_cora", "--profile", "paper"]) == 0
    out, folder = capsys.readouterr().out, results / "figures" / "paper" / "citation"
    assert sorted((results / "figures").rglob("*.*")) == [folder / "gcn_cora.svg", folder / "gcn_cora_alignment.svg"]
    assert str(folder / "gcn_cora.svg") in out and "gcn_cora: bp: 1 of 2 runs without a history" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tasks", "nerf/*"], "no record matches"),
        (["--metrics", "valid_psnr"], "no history has valid_psnr over step; their columns are epoch, lr, step"),
        (["--metrics", "valid_acuracy"], "unknown metric 'valid_acuracy'"),
        (["--tasks", "*_pubmed"], "no run that ended well has a history"),
        (["--out", f"{{results}}/records/paper/citation/gcn_cora/bp/seed0-{hash_of()}.csv"], "Not a directory"),
    ],
)
def test_nothing_to_draw_is_one_line(tmp_path, options, words):
    """Else an empty picture would be written, or a traceback shown."""
    two_methods(tmp_path)
    write_record(record(dataset="pubmed"), tmp_path / "records")
    ended = call(main, ["--results", str(tmp_path), *(option.format(results=tmp_path) for option in options)])
    assert ended.code == 2 and words in ended.err and ended.err.count("\n") == 1 and ended.out == ""
    assert not [*tmp_path.rglob("*.svg")]
