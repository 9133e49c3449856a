"""Curves of the cost over an MLP's size: each axis varies alone, and every size has a place in table and figure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import asdict

import pandas as pd
import pytest

from benchmarks.speed import scaling_curves
from benchmarks.speed.scaling_curves import AXES, Measured, Size, Stepper


def test_an_axis_varies_alone():
    """Without it a curve would mix two causes. The depth brings its points along."""
    for axis, sizes in AXES.items():
        others = [{k: v for k, v in asdict(size).items() if k not in {axis, "points"}} for size in sizes]
        assert all(one == {k: v for k, v in asdict(Size()).items() if k not in {axis, "points"}} for one in others)
        assert len({getattr(size, axis) for size in sizes}) == len(sizes)


@pytest.mark.parametrize("size", [Size(8, 4, 6, 2, 3), Size(8, 4, 6, 4, 3)])
def test_the_model_has_as_many_points_and_layers_as_asked(size):
    """Without it the axis of points could time the same network each time."""
    stepper = Stepper("dfa", size)
    stepper.step()
    assert len(stepper.method.layout.points) == size.points
    assert sum(p.dim() == 2 for p in stepper.model.parameters()) == size.depth + 1


def test_the_command_writes_table_and_figures(tmp_path, monkeypatch):
    """Without it the figures could lack a size, or not be XML."""
    monkeypatch.setitem(AXES, "width", [Size(8, 2, 4, 2, 3), Size(16, 2, 4, 2, 3)])
    monkeypatch.setattr(scaling_curves, "in_own_process", lambda function, form, size: {"bp": 2.0}.get(form, 1.0))
    arguments = ["--axes", "width", "--seconds", "0.1", "--repeats", "6", "--threads", "1", "--out", str(tmp_path)]
    assert scaling_curves.main(arguments) == 0
    frame = pd.read_csv(tmp_path / "scaling.csv")
    assert list(frame.value) == [8, 16] and (frame.dfa_mb / frame.bp_mb == 0.5).all()
    assert (frame.low <= frame.ratio).all() and (frame.ratio <= frame.high).all()
    ET.parse(tmp_path / "scaling_width.svg")


def test_a_chart_has_the_limit_beside_the_ratio():
    """Without it nobody would see what arithmetic allows."""
    rows = [Measured("rows", n, 1.0, 0.9, 0.8, 1.0, 0.7) for n in (1, 2)]
    (chart,) = scaling_curves.charts(rows)
    assert [[series.name for series in panel.series] for panel in chart.panels] == [["dfa", "limit"]]


@pytest.mark.parametrize("argv", [["--axes", "colour"], ["--out", "/no/folder"], ["--threads", "0"]])
def test_bad_arguments_are_refused_in_one_line(argv, capsys):
    """Without it a typo would end in a traceback, or after minutes of timing."""
    with pytest.raises(SystemExit) as stopped:
        scaling_curves.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
