"""The ten-line example and the speed command."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch

from benchmarks.speed import __main__ as speed
from benchmarks.speed import cases
from tests import REPOSITORY


def test_digits_orders_the_methods():
    """Without it the first thing a newcomer runs could show DFA failing, or shallow learning as well."""
    path = REPOSITORY / "examples" / "digits.py"
    spec = importlib.util.spec_from_file_location("digits_example", path)
    digits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(digits)
    accuracy = {name: digits.main(name) for name in ("bp", "dfa", "shallow")}
    assert accuracy["bp"] > 0.93 and accuracy["bp"] >= accuracy["dfa"] - 0.02, accuracy
    assert accuracy["dfa"] > accuracy["shallow"] + 0.08, accuracy


def test_speed_reports_ratios(tmp_path, monkeypatch, capsys):
    """Without it the benchmark could compare a step with itself, or write a file that nothing can read."""
    tiny = cases.SpeedCase(
        "tiny", lambda: cases.MLP(4, 8, 2, 3), lambda: (torch.randn(6, 4), torch.randn(6, 3)),
        torch.nn.functional.mse_loss, repeats=2,
    )  # fmt: skip
    monkeypatch.setattr(speed, "CASES", [tiny])
    assert speed.main(["--json", str(tmp_path / "speed.json")]) == 0
    assert "tiny" in capsys.readouterr().out
    (case,) = json.loads((tmp_path / "speed.json").read_text())["cases"]
    assert speed.DEFAULT in case["allocators"]
    for measured in case["allocators"].values():
        assert {name: len(times) for name, times in measured["seconds"].items()} == dict.fromkeys(
            ("bp", "dfa", "re-entrant dfa"), 2
        )
        assert all(ratio > 0 for ratio in (*measured["dfa/bp"], *measured["dfa/re-entrant"]))


@pytest.mark.parametrize("argv", [["--case", "nothing"], ["--repeats", "0"], ["--json", "/nowhere/x.json"], ["-x"]])
def test_speed_refuses_bad_arguments_in_one_line(argv, capsys):
    """Without it a typo would end in a traceback, or after minutes of timing."""
    with pytest.raises(SystemExit) as stopped:
        speed.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
