"""Step time and memory of every method: a row each, and the ones that recompute a second time."""

from __future__ import annotations

import json

import pytest

from benchmarks.speed import methods

SIZES = ["--depth", "2", "--width", "8", "--rows", "6", "--threads", "1", "--repeats", "1"]


def test_every_method_has_a_row(tmp_path, monkeypatch):
    """Without it a method could be missing, or be weighed under another's name."""
    weighed = []
    monkeypatch.setattr(methods, "in_own_process", lambda peak, name, *rest: weighed.append(name) or 1.0)
    assert methods.main([*SIZES, "--json", str(tmp_path / "x.json")]) == 0
    told = json.loads((tmp_path / "x.json").read_text())["methods"]
    assert weighed == list(told["seconds"]) == list(told["megabytes"])
    assert {"bp", "bp_recompute", "dfa", "dfa+recompute", "structural+recompute", "local", "mezo"} <= set(weighed)
    assert "shallow" not in weighed and weighed[0] == "bp"


def test_a_method_that_is_not_known_is_one_line(capsys):
    """Without it a typo would end in a traceback after minutes of timing."""
    with pytest.raises(SystemExit) as stopped:
        methods.main([*SIZES, "--methods", "dfaa"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "did you mean dfa" in line
