"""Charts of alignment: two levels side by side, and the deepest point's spread as a band."""

from __future__ import annotations

import pytest

from benchmarks.curves import line_id, svg
from benchmarks.evidence import main as evidence
from tests.helpers.results_samples import records
from tests.reporting.test_curves import COLUMNS, charts, drawn, keep, strokes, three_steps

POINTS = ("points.0", "points.1")
LEVELS = {
    "alignment_cosine": ("_mean", "_std", "_q05", "_q50", "_q95"),
    "weight_alignment_cosine": ("", "_mean", "_q05", "_q95"),
}
OFFSET = {"_mean": 0.0, "": 0.0, "_std": 0.5, "_q05": -0.4, "_q50": 0.1, "_q95": 0.3}


def value(number, level, statistic, point):
    """At the n-th evaluation: .2, .3, … at the deepest point, .1 less above, weights .1 more; rows' means far off."""
    base = 0.1 * number + 0.1 - 0.1 * POINTS.index(point) + 0.1 * level.startswith("weight")
    return 0.9 if level.startswith("weight") and statistic == "_mean" else base + OFFSET[statistic]


def two_levels(results, seeds=2):
    """Runs of dfa measured at steps 20 and 30."""
    names = [(level, s, p) for level, statistics in LEVELS.items() for s in statistics for p in POINTS]
    for made in records([60.0] * seeds, method="dfa"):
        rows = [[*row, *(value(n, *name) if n else "" for name in names)] for n, row in enumerate(three_steps(60))]
        keep(results, made, rows, [*COLUMNS, *(f"{level}{s}/{p}" for level, s, p in names)])
    return results


def test_levels_stand_side_by_side_with_the_deepest_points_band(tmp_path):
    """Else a level would be drawn as the other, a band around the wrong point, or seeds' range taken for samples'."""
    _, chart = charts(two_levels(tmp_path))
    activations, weights = chart.panels
    assert (activations.title, weights.title) == ("activations", "weight gradients")
    assert activations.row == weights.row and "band: 5 to 95%" in chart.subtitle
    for panel, more in ((activations, 0.0), (weights, 0.1)):
        deepest, upper = panel.series
        assert [one.name for one in panel.series] == list(POINTS)
        assert deepest.x.tolist() == upper.x.tolist() == [20, 30]
        assert deepest.mean.tolist() == pytest.approx([0.2 + more, 0.3 + more])
        assert deepest.low.tolist() == pytest.approx([-0.2 + more, -0.1 + more])
        assert deepest.high.tolist() == pytest.approx([0.5 + more, 0.6 + more])
        assert (
            upper.mean.tolist() == upper.low.tolist() == upper.high.tolist() == pytest.approx([0.1 + more, 0.2 + more])
        )
    text = svg(chart)
    names = [line_id(panel, one) for panel in chart.panels for one in panel.series]
    assert len(set(names)) == 4 and all(len(drawn(text, name)) == 2 for name in names)
    assert text.count('id="FillBetween') == 2 and text.count(">deepest first<") == 1
    shades = [style["stroke"] for style in strokes(text, names)]
    assert shades[:2] == shades[2:] and shades[0] != shades[1]


def test_panels_of_a_row_stand_beside_each_other(tmp_path):
    """Else the weights' panel would be drawn over the activations', or in the next network's row."""
    _, chart = charts(two_levels(tmp_path))
    left, right = (drawn(svg(chart), line_id(panel, panel.series[0])) for panel in chart.panels)
    assert left[:, 0].max() < right[:, 0].min()
    assert (left[:, 1] > right[:, 1]).all()  # larger by .1 on a common scale, and SVG counts downwards


def test_histories_with_means_alone_are_drawn_as_before(tmp_path):
    """Else the committed histories would vanish from the charts, or show seeds' range as that of samples."""
    columns = [*COLUMNS, "alignment_cosine_mean/point"]
    for number, made in enumerate(records([60.0, 61.0], method="dfa")):
        keep(tmp_path, made, [[*row, 0.1 * number + 0.1] for row in three_steps(60)], columns)
    _, chart = charts(tmp_path)
    (panel,) = chart.panels
    assert panel.title == "" and "band" not in chart.subtitle
    assert panel.series[0].low.tolist() == panel.series[0].mean.tolist() == panel.series[0].high.tolist()
    assert 'id="FillBetween' not in svg(chart)


def test_packs_keep_the_columns(tmp_path):
    """Else the committed figures could not be drawn from the committed evidence."""
    two_levels(tmp_path / "here")
    pack = tmp_path / "clone" / "evidence" / "dfa.jsonl"
    assert evidence(["pack", str(pack), "--histories", "10", "--records", str(tmp_path / "here" / "records")]) == 0
    _, here = charts(tmp_path / "here")
    _, clone = charts(tmp_path / "clone")
    assert svg(here) == svg(clone)
