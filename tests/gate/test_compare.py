"""Comparisons: hand-computed errors and verdicts; what is worse is found, what is noise is not."""

from __future__ import annotations

import io
import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from benchmarks import baseline
from benchmarks.compare import text as compare_text
from benchmarks.compare.__main__ import main
from benchmarks.compare.judge import compare
from benchmarks.records.aggregation import aggregate
from benchmarks.statistics.noise import Rules
from tests.helpers.results_samples import record, records, save


def cells(made):
    return aggregate(made).cells


def verdicts(before, after, rules=None):
    return [change.verdict for change in compare(cells(before), cells(after), rules).changes]


def only(before, after, rules=None):
    (change,) = compare(cells(before), cells(after), rules).changes
    return change


def test_paired_error_by_hand():
    before = records([80, 82, 84, 86, 88, 90])
    after = records([79, 80, 83, 84, 87, 88], config_hash="other")
    found = only(before, after).difference
    # differences −1 −2 −1 −2 −1 −2: mean −1.5, variance 6 × 0.25 / 5 = 0.3
    assert (found.value, found.how) == (pytest.approx(-1.5), "paired")
    assert found.error == pytest.approx(math.sqrt(0.3 / 6))
    # one cell judged: Student's t at the level of 3 sigmas, five degrees of freedom
    exact = stats.t.isf(NormalDist().cdf(-3), 5) * found.error
    assert found.threshold == pytest.approx(exact, rel=0.01)
    assert only(before, after).verdict == "worse"


def test_welch_error_by_hand():
    before = records([80, 82, 80, 82, 80, 82])  # variance 6/5
    after = records([70, 76, 70, 76, 70, 76], first_seed=10)  # variance 54/5
    found = only(before, after).difference
    assert (found.value, found.how) == (pytest.approx(-8), "independent")
    assert found.error == pytest.approx(math.sqrt(1.2 / 6 + 10.8 / 6))
    assert only(before, after).verdict == "worse"


def test_few_seeds_borrow_from_typical_noise():
    # One cell happens to have almost no spread; its neighbours show what the noise is like.
    quiet = [*records([80.0, 80.1])]
    noisy = [one for name in ("cheb", "gat", "dna") for one in records([70, 74], architecture=name)]
    after = [*records([78.0, 78.1], first_seed=5)]
    after += [one for name in ("cheb", "gat", "dna") for one in records([71, 75], architecture=name, first_seed=5)]
    changes = compare(cells(quiet + noisy), cells(after)).changes
    assert {change.verdict for change in changes} == {"within noise"}
    (gcn,) = [change for change in changes if change.key.task == "citation/gcn_cora"]
    # variances 0.005 (2 of 5 parts) and 8 (3 of 5)
    assert gcn.difference.error == pytest.approx(math.sqrt((2 * 0.005 + 3 * 8) / 5))


def test_a_rerun_of_one_seed_has_an_absolute_tolerance():
    assert verdicts([record(80.0)], [record(78.1)]) == ["within noise"]
    assert verdicts([record(80.0)], [record(77.9)]) == ["worse"]
    assert verdicts([record(80.0)], [record(82.1)]) == ["better"]
    # other settings: the noise is unknown, and a single run is given three times that
    assert verdicts([record(80.0)], [record(76.0, config_hash="b")]) == ["within noise"]
    assert verdicts([record(80.0)], [record(73.0, config_hash="b")]) == ["worse"]


def test_every_seed_worse_is_worse_however_few():
    before, after = records([80.0, 60.0]), records([77.0, 50.0])
    assert only(before, after).difference.how == "every seed"
    assert verdicts(before, after) == ["worse"]
    assert verdicts(before, after, Rules(unpaired=True)) == ["within noise"]


def test_values_of_seeds_that_do_not_count_are_told():
    """Of three runs one is a repetition: without a word, two that fell by half would be "within noise"."""
    before, after = records([80, 81, 82]), [record(80.0), *records([40, 41], first_seed=10)]
    found = compare(cells(before), cells(after))
    (told,) = [warning for warning in found.warnings if warning.startswith("seeds")]
    assert "1 cell(s)" in told and "seeds 10, 11" in told
    assert not compare(cells(before), cells(before)).warnings
    assert not compare(cells(before), cells(after), Rules(unpaired=True)).warnings
    assert not compare(cells(records([80], config_hash="other")), cells(after)).warnings  # all seeds count


def test_significant_but_too_small_to_matter():
    before = records([80, 82, 84, 86, 88, 90])
    after = records([value - 0.3 for value in (80, 82, 84, 86, 88, 90)])
    assert verdicts(before, after) == ["within noise"]
    assert verdicts(before, after, Rules(effect=0.1)) == ["worse"]


def test_lower_is_better_for_a_loss_and_tolerances_scale_with_a_perplexity():
    fields = {"metric": "log_loss"}
    assert verdicts([record(0.45, **fields)], [record(0.47, **fields)]) == ["worse"]
    fields = {"metric": "valid_perplexity"}
    assert verdicts([record(400.0, **fields)], [record(415.0, **fields)]) == ["within noise"]
    assert verdicts([record(30.0, **fields)], [record(45.0, **fields)]) == ["worse"]


def test_a_spread_is_never_judged():
    made = [record(0.2, metric="alignment_cosine_std")], [record(0.9, metric="alignment_cosine_std")]
    assert verdicts(*made) == ["not judged"]


def test_missing_added_and_failed_runs():
    both = records([80.0, 81.0])
    shallow = record(30.0, method="shallow")
    assert verdicts([*both, shallow], both) == ["within noise", "missing"]
    assert verdicts(both, [*both, shallow]) == ["within noise", "added"]
    assert verdicts(both, both[:1]) == ["runs missing"]
    assert verdicts(both, [both[0], record(None, 1, status="failed", reason="x")]) == ["newly failed"]
    assert verdicts(both, [record(None, seed, status="diverged") for seed in (0, 1)]) == ["newly failed"]
    assert verdicts(both, records([80.5, 81.5], first_seed=7)) == ["within noise"]


def test_a_cell_that_one_side_lacks_names_profile_and_data():
    """Runs of two profiles read as missing and added under one name, as if the same cell were both."""
    changes = compare(cells([record(80.0)]), cells([record(80.0, profile="quick", source="stand-in")])).changes
    names = {change.verdict: compare_text.row_of(change)[1] for change in changes}
    assert names["missing"].endswith("bp accuracy [paper, real]")
    assert names["added"].endswith("bp accuracy [quick, stand-in]")


def test_a_missing_run_is_said_once_not_per_metric():
    full = record(80.0, metrics={"accuracy": 80.0, "valid_accuracy": 79.0})
    other = record(30.0, method="dfa")
    assert verdicts([full, other], [other]) == ["missing", "within noise"]
    assert "missing" in verdicts([full], [record(80.0)])  # a metric that is no longer recorded


@given(st.lists(st.floats(20, 95), min_size=1, max_size=6), st.integers(0, 3))
def test_nothing_changed_is_nothing_reported(values, shift):
    made = records([round(value, 3) for value in values])
    assert verdicts(made, made) == ["within noise"]


@settings(max_examples=50)
@given(st.lists(st.tuples(*[st.floats(0, 100)] * 2), min_size=2, max_size=8))
def test_comparison_is_antisymmetric(values):
    before = records([first for first, _ in values])
    after = records([second for _, second in values], config_hash="other")
    forth, back = only(before, after), only(after, before)
    assert forth.difference.value == pytest.approx(-back.difference.value)
    assert (forth.verdict == "worse") == (back.verdict == "better")


def test_170_cells_of_other_seeds_raise_no_alarm():
    """The gate would be ignored within a week if one honest rerun in ten turned it red."""
    rng = random.Random(3)
    names = [f"net{number}" for number in range(57)]
    spread = {name: 3 * math.exp(rng.gauss(0, 0.7)) for name in names}

    def world(seeds, first):
        return cells(
            record(rng.gauss(60, spread[name]), first + seed, method=method, architecture=name)
            for name in names
            for method in ("bp", "dfa", "shallow")
            for seed in range(seeds)
        )

    for before, after in ((3, 3), (3, 1), (2, 2), (10, 10)):
        found = compare(world(before, 0), world(after, 100)).changes
        assert {change.verdict for change in found} <= {"within noise", "runs missing"}


def test_exit_statuses_and_markdown_summary(tmp_path, capsys):
    first = save(tmp_path / "a", records([80.0, 81.0]))
    second = save(tmp_path / "b", records([60.0, 61.0]))
    summary = tmp_path / "summary.md"
    assert main([str(first), str(first)]) == 0
    assert main([str(first), str(second / "records"), "--markdown", str(summary)]) == 1
    text = summary.read_text()
    assert text.startswith("### ❌") and "| worse" in text and "FAILED: 1 worse" in text
    assert main([str(first), str(second), "--rerun", "20", "--tolerance-sigmas", "8", "--unpaired"]) == 0
    capsys.readouterr()


def bad_places(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jsonl").write_text('{"schema": 1}\n')
    (tmp_path / "cut.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00")
    (tmp_path / "text.json").write_text("hello")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "old.json").write_text('{"schema": 0, "cells": []}')
    (tmp_path / "cell.json").write_text('{"schema": 1, "cells": [{"task": "x"}]}')
    (tmp_path / "folder.json").mkdir()
    return [
        "empty",
        "broken.jsonl",
        "cut.jsonl.gz",
        "text.json",
        "list.json",
        "old.json",
        "cell.json",
        "nowhere",
    ]


def test_bad_input_is_one_line_and_exit_2(tmp_path, capsys):
    good = save(tmp_path / "good", [record(80.0)])
    for name in bad_places(tmp_path):
        assert main([str(good), str(tmp_path / name)]) == 2, name
        message = capsys.readouterr().err
        assert 1 <= message.count("\n") <= 2 and name in message, message
    assert main([str(good), str(good), "--effect", "-1"]) == 2
    assert main([str(good), str(good), "--effect", "nan"]) == 2
    assert baseline.main(["check", "--results", str(good)]) == 2
    assert "make baseline" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["broken.jsonl", "cut.jsonl.gz"])
def test_a_place_without_a_readable_record_says_so(tmp_path, capsys, name):
    """'nothing of profile None; leave --profile out' was said to somebody who had not given it."""
    good = save(tmp_path / "good", [record(80.0)])
    bad_places(tmp_path)
    assert main([str(good), str(tmp_path / name)]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert f"{name}: no readable record" in last and "None" not in last
    assert main([str(good), str(good), "--profile", "long"]) == 2
    assert "nothing of profile long; leave --profile out" in capsys.readouterr().err


def test_a_comparison_of_incomplete_inputs_is_never_fine(tmp_path, capsys):
    """Without it a record that nobody can read would hide a loss, and the comparison would pass."""
    good = save(tmp_path / "good", [record(80.0)])
    torn = save(tmp_path / "torn", [record(80.0), record(79.0, method="dfa")])
    next((torn / "records").rglob("dfa/*.json")).write_text("{")
    assert main([str(good), str(torn)]) == 2
    printed = capsys.readouterr()
    assert "1 within noise" in printed.out and printed.err.endswith("left out\n") and printed.err.count("\n") == 1
    worse = save(tmp_path / "worse", [record(20.0)])
    (worse / "records" / "x.json").write_text("{")
    assert main([str(good), str(worse)]) == 1


def test_terminal_table_and_plain_lines_say_the_same():
    found = compare(cells([record(80.0)]), cells([record(70.0)]))
    texts = []
    for terminal in (True, False):
        console = Console(file=io.StringIO(), width=140, force_terminal=terminal, color_system=None)
        compare_text.show(found, console, "a → b")
        texts.append(console.file.getvalue())
    for text in texts:
        assert all(part in text for part in ("worse", "80.0 (n=1)", "70.0 (n=1)", "-10.0", "2.0", "FAILED: 1 worse"))
