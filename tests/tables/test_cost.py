"""The cost table: whose seconds stand where, and what is compared with backprop."""

from __future__ import annotations

import csv
import io
import math

import pytest
from rich.console import Console

from benchmarks.records.aggregation import aggregate
from benchmarks.records.baseline_file import read_baseline, write_baseline
from benchmarks.tables.cost import cost_table, row_of
from benchmarks.tables.gap import gap_of, gap_table
from benchmarks.tables.terminal import for_terminal
from tests.helpers.results_samples import rebuild, record, records, save, slice_of

HERE = {"processor": "A", "cores": 2, "accelerator": "none", "device": "cpu", "precision": "fp32", "threads": 1}


def timed(seconds, first_seed=0, method="bp", steps=100, hardware=HERE, commit="c", **fields):
    """A run per entry of ``seconds``, each the time of its training, of ``steps`` steps."""
    made = records([80.0 + n for n in range(len(seconds))], method=method, first_seed=first_seed, **fields)
    for one, spent in zip(made, seconds, strict=True):
        one.train_seconds, one.budget = spent, {"epochs": steps, "steps": steps}
        one.hardware, one.code = hardware, {"commit": commit}
        one.peak_memory_mb, one.samples_per_second = 500.0 + spent, 1000 / spent
    return made


def table(made, source="real"):
    return cost_table(slice_of(made, source=source))


def shown(built):
    return {row[2]: dict(zip(built.header, row, strict=True)) for row in built.rows}


def test_the_ratio_is_of_steps_and_of_common_seeds():
    """Else early stopping would make a method look fast, or seeds that only one side ran would enter."""
    made = timed([10.0, 20.0, 90.0]) + timed([8.0, 12.0], first_seed=1, method="dfa", steps=50)
    found = {cell.key.method: cell for cell in aggregate(made).cells}
    row = row_of(found["dfa"], found).bp
    assert row.pairs == {1: (0.16, 0.2), 2: (0.24, 0.9)}
    assert row.ratio == pytest.approx((0.8 + 0.24 / 0.9) / 2)
    places = shown(table(made))
    assert places["bp"]["step / bp"] == "1.00" and places["dfa"]["step / bp"] == "0.53"
    assert (places["dfa"]["train s"], places["dfa"]["MB"], places["dfa"]["samples/s"]) == ("10.0", "512", "104")
    assert (places["dfa"]["quality"], places["dfa"]["budget"]) == ("80.5", "50 epochs")


def test_one_busy_moment_does_not_decide():
    """Else a single run beside another job would be the table's message."""
    made = timed([10.0] * 5) + timed([7.0, 7.0, 70.0, 7.0, 7.0], method="dfa")
    assert shown(table(made))["dfa"]["step / bp"] == "0.70"


def test_runs_on_other_hardware_are_not_compared():
    """Else a faster machine, more threads or another precision would count as a faster method."""
    for difference in (
        {"processor": "B"},
        {"threads": 2},
        {"precision": "bf16"},
        {"accelerator": "H", "device": "cuda"},
    ):
        made = timed([10.0, 10.0]) + timed([5.0], method="dfa", hardware=HERE | difference)
        alone = table(made)
        assert shown(alone)["dfa"]["step / bp"] == "–"
        assert sum(note.startswith("hardware: ") for note in alone.notes) == 2
        made += timed([9.0], method="dfa", first_seed=1)
        both = table(made)
        assert shown(both)["dfa"]["step / bp"] == "0.90 (n=1)"
        assert any(note.startswith("seeds left out") and "GCN on Cora (dfa)" in note for note in both.notes)


def test_other_code_is_compared_and_said():
    """Else a faster engine would pass for a faster method."""
    same, other = (table(timed([10.0]) + timed([9.0], method="dfa", commit=commit)) for commit in ("c", "d"))
    assert not any("different commits" in note for note in same.notes)
    assert shown(other)["dfa"]["step / bp"] == "0.90"
    assert any("different commits" in note and note.endswith("GCN on Cora (dfa)") for note in other.notes)


def test_placements_share_the_backprop_of_their_architecture():
    """Else micro placement, whose task skips backprop, would be compared with nothing, in cost and in the gap."""
    made = timed([10.0]) + timed([8.0], method="dfa_macro") + timed([5.0], method="dfa_micro")
    made += [record(None, status="skipped", reason="see macro"), record(30.0, method="shallow")]
    for one in made[2:4]:
        one.task = "citation/gcn_micro"
    assert shown(table(made))["dfa_micro"]["step / bp"] == "0.50"
    gaps = {row[2]: row for row in gap_table(gap_of(slice_of(made))).rows}
    assert gaps["dfa_micro"][6] == gaps["dfa_macro"][6] == "100.0"


def test_what_is_unknown_is_a_dash():
    """Else records without steps, backprop or a timed probe would give zeros, infinities or a crash."""
    lonely = shown(table(timed([8.0], method="dfa")))["dfa"]
    assert (lonely["step / bp"], lonely["alignment s"], lonely["quality"]) == ("–", "–", "80.0")
    old = [record(80.0, budget={}), record(70.0, method="dfa", budget={}), record(None, method="x", status="failed")]
    assert {row["step / bp"] for row in shown(table(old)).values()} == {"–"}
    assert list(shown(table(old))) == ["bp", "dfa"]
    assert table([record(None, status="diverged")]) is None
    probed = timed([8.0, 8.0], method="dfa")
    probed[0].alignment_seconds, probed[1].alignment_seconds = 3.0, 6.0
    assert shown(table(probed))["dfa"]["alignment s"] == "4.50"


def test_the_files_and_the_terminal(tmp_path):
    """Else the CSV would round, stand-ins mix with real data, or the columns not fit beside each other."""
    made = timed([10.0, 10.5]) + timed([7.1234567, 8.0], method="dfa")
    made += timed([1.0], source="stand-in", dataset="pubmed")
    made += timed([2421.0], architecture="dna", domain="recommendation", dataset="criteo_10k", metric="log_loss")
    rebuild(save(tmp_path, made))
    folder = tmp_path / "tables" / "paper"
    rows = list(csv.DictReader(io.StringIO((folder / "cost.csv").read_text())))
    dfa = next(row for row in rows if row["method"] == "dfa")
    ratio = (7.1234567 / 10 + 8 / 10.5) / 2
    assert float(dfa["step ratio"]) == pytest.approx(ratio, rel=1e-5) and dfa["seeds compared"] == "2"
    assert {row["dataset"] for row in rows} == {"cora", "criteo_10k"}
    assert "PubMed" in (folder / "cost_standin.md").read_text()
    console = Console(file=io.StringIO(), width=140)
    console.print(for_terminal(table(made)))
    lines = console.file.getvalue().splitlines()
    assert any("2,421" in line and "criteo" in line.lower() for line in lines) and max(map(len, lines)) <= 140


def test_a_baseline_stays_small_and_readable(tmp_path):
    """Else every run's seconds would be committed with each baseline, and differ each time."""
    path = tmp_path / "baseline.json"
    write_baseline(aggregate(timed([10.0, 11.0])).cells, path)
    assert "timings" not in path.read_text()
    (cell,) = read_baseline(path)
    assert cell.timings == {} and math.isnan(cell.alignment_seconds) and cell.train_seconds == 10.5


def test_costs_stand_beside_backprop_that_recomputes_as_well():
    """The honest baseline of memory: a method that only beats plain backprop there has won nothing."""
    seconds = {"bp": 20.0, "bp_recompute": 40.0, "dfa": 10.0}
    made = [one for method, spent in seconds.items() for one in timed([spent], method=method)]
    for one, megabytes in zip(made, (800.0, 400.0, 600.0), strict=True):
        one.peak_memory_mb = megabytes
    found = {
        name: [row[f"{what} / {other}"] for what in ("step", "MB") for other in ("bp", "recompute")]
        for name, row in shown(table(made)).items()
    }
    assert found["dfa"] == ["0.50", "0.25", "0.75", "1.50"]
    assert found["bp_recompute"] == ["2.00", "1.00", "0.50", "1.00"] and found["bp"][1] == "0.50"
    assert shown(table(made[:1]))["bp"]["step / recompute"] == "–"
