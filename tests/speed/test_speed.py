"""The table of step times: the training loop's steps, every architecture, paired ratios, one row for each form."""

from __future__ import annotations

import os
import time
from functools import partialmethod

import pandas as pd
import pytest
import torch

from benchmarks.catalogue.discovery import domains, representatives
from benchmarks.catalogue.methods import shipped_methods
from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed import __main__ as speed
from benchmarks.speed import subjects, table
from benchmarks.speed.data import FIELD_SIZES, GENERATED
from benchmarks.speed.forms import FORMS, USUAL
from benchmarks.speed.rounds import Timing, in_own_process, time_in_turn
from benchmarks.speed.shares import PARTS, shares
from benchmarks.speed.subjects import PROFILES, Subject, chosen
from benchmarks.terminal.errors import UsageError
from benchmarks.training.loop import Loop
from benchmarks.training.randomness import seed_everything
from dfa_core import make_method

ON_CPU = HardwareConfig("cpu", "fp32", 1)
GCN = Subject("citation/gcn_cora", "laptop")


def test_every_architecture_with_a_point_between_layers_is_timed():
    """Without it an added domain would be missing from the table."""
    timed = {subject.task for subject in chosen([], ["laptop"])}
    assert timed == {*representatives(), "wikitext2/micro"} - {"criteo/fm"}
    assert {subject.size for subject in chosen(["mnist"], list(PROFILES))} == set(PROFILES)


def test_recommenders_of_published_size_have_tables_of_published_size():
    """A domain's name was misspelt, and tables of 11,000 rows were timed as those of 1,086,810."""
    assert set(GENERATED) <= set(domains()) and set(subjects._FEWER_SAMPLES) <= set(domains())
    subject = Subject("criteo/deepfm", "published")
    assert subject.data == "generated" and Subject("criteo/deepfm", "laptop").data == "stand-in"
    assert subject.stepper(FORMS["bp"], ON_CPU).task.model.embedding.num_embeddings == sum(FIELD_SIZES) == 1_086_810


def test_steps_are_the_training_loops():
    """Without it a step without dropout, weight decay or schedule would be timed, and told as the method's."""
    stepper = GCN.stepper(FORMS["dfa"], ON_CPU)
    for _ in range(3):
        stepper.step()
    settings = GCN.settings()
    settings.epochs, settings.steps, settings.eval_every = None, 3, 4
    seed_everything(0)
    task = GCN.stepper(FORMS["bp"], ON_CPU).task
    seed_everything(0)
    again = GCN.stepper(FORMS["dfa"], ON_CPU)
    Loop(again.task, again.method, settings, ON_CPU).run()
    mine, its = stepper.task.model.state_dict(), again.task.model.state_dict()
    assert all(torch.equal(mine[name], its[name]) for name in mine)
    assert not all(torch.equal(mine[name], weight) for name, weight in task.model.state_dict().items())


def test_shares_are_of_the_whole_step_and_leave_it_as_it_was():
    """Without it a part could be counted twice, or the next step would be timed with the instrument in it."""
    stepper = GCN.stepper(lambda model: make_method("dfa", model), ON_CPU)
    found = shares(stepper, steps=1)
    assert list(found) == list(PARTS)
    assert sum(found.values()) == pytest.approx(1)
    assert all(share > 0 for share in found.values())
    assert "loss" not in vars(stepper.task) and "signals_of" not in vars(stepper.method)


def test_ratios_are_paired():
    """Without it a machine that is busy for half of the rounds would change the ratio of two equal steps."""
    busy = Timing([1.0, 4.0, 1.0, 4.0, 1.0, 4.0], [1.0] * 6)
    mine = Timing([wall / 2 for wall in busy.wall], [3.0] * 6)
    assert mine.ratio_to(busy) == (0.5, 3.0)
    assert mine.interval_to(busy) == (0.5, 0.5)


def test_time_ends_the_rounds_but_not_before_an_interval_is_possible():
    """Without it a slow subject would take hours, or have a ratio without an interval."""
    slow = lambda: time.sleep(0.01)  # noqa: E731
    timings = time_in_turn({"a": slow, "b": slow}, rounds=100, device="cpu", seconds=0.0)
    assert {name: len(timing.wall) for name, timing in timings.items()} == {"a": 6, "b": 6}


def test_memory_is_measured_in_a_process_of_its_own():
    """Without it a form's peak could be that of all forms together."""
    assert in_own_process(os.getpid) != os.getpid()


def test_the_command_writes_a_row_for_each_form(tmp_path, capsys, monkeypatch):
    """Without it a form could be missing, or be timed under another's name."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(table, "in_own_process", lambda function, *arguments: 7.0)
    out = tmp_path / "speed.csv"
    arguments = ["--size", "laptop", "--tasks", GCN.task, "--threads", "1", "--seconds", "0.1", "--out", str(out)]
    assert speed.main(arguments) == 0
    frame = pd.read_csv(out)
    assert [
        *("task", "size", "threads", "device", "dtype", "compiled", "method", "step_ms", "ratio_to_bp", "low", "high"),
        *("product_limit", "peak_mb", "share_forward", "share_backward", "share_projection", "share_optimizer"),
        "share_data",
    ] == list(frame.columns)
    assert list(frame.method) == [form for form in FORMS if form in USUAL and form != "bp_recompute"]
    assert frame.ratio_to_bp[0] == frame.product_limit[0] == 1
    assert (frame.low <= frame.ratio_to_bp).all() and (frame.ratio_to_bp <= frame.high).all()
    assert frame.peak_mb.isna().all()
    assert GCN.task in capsys.readouterr().out


def test_every_method_can_be_timed(tmp_path):
    """Without it a method's cost could be told on a perceptron alone; what a task has not is left out, not timed."""
    out = tmp_path / "speed.csv"
    arguments = ["--size", "laptop", "--tasks", GCN.task, "--threads", "1", "--seconds", "0.1", "--out", str(out)]
    assert speed.main([*arguments, "--forms", "all"]) == 0
    frame = pd.read_csv(out).set_index("method")
    unsuitable = {"bp_recompute", "pepita"}  # no block to recompute, one feedback point
    assert set(shipped_methods()) - set(frame.index) == unsuitable
    assert frame.product_limit["predictive_coding"] > frame.product_limit["forward_gradient"] > 1


def test_compiled_forms_are_rows_of_their_own(tmp_path, monkeypatch):
    """They are compared with backprop in eager mode, and never replace the rows of eager steps."""
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager"))
    out = tmp_path / "speed.csv"
    arguments = ["--size", "laptop", "--forms", "dfa", "--threads", "1", "--seconds", "0.1", "--out", str(out)]
    assert speed.main([*arguments, "--tasks", "mnist/mlp", "--compiled"]) == 0
    frame = pd.read_csv(out)
    assert list(zip(frame.method, frame.compiled, strict=True)) == [
        ("bp", False), ("dfa", False), ("bp", True), ("dfa", True),
    ]  # fmt: skip
    assert frame.ratio_to_bp[0] == 1 and frame.ratio_to_bp[2] != 1 and frame.product_limit[2] == 1
    assert speed.main([*arguments, "--tasks", f"mnist/mlp,{GCN.task}", "--compiled"]) == 0
    assert not pd.read_csv(out).query("task == @GCN.task").compiled.any()  # whose products do not compile


@pytest.mark.parametrize(
    "argv",
    [
        ["--tasks", "nothing"],
        ["--tasks", "criteo/fm"],
        ["--repeats", "0"],
        ["--out", "/nowhere/x.csv"],
        ["--size", "huge"],
        ["-x"],
    ],
)
def test_bad_arguments_are_refused_in_one_line(argv, capsys):
    """Without it a typo would end in a traceback, or after minutes of timing."""
    with pytest.raises(SystemExit) as stopped:
        speed.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_every_form_has_a_peak_of_its_own(tmp_path, monkeypatch):
    """Without it the peak of the largest form could stand for all that come after it."""
    asked = []

    def peak_of(function, subject, form, hardware):
        asked.append((function, subject.task, form))
        return float(len(asked))

    monkeypatch.setattr(table, "in_own_process", peak_of)
    out = tmp_path / "speed.csv"
    arguments = ["--tasks", "mnist/mlp", "--forms", "dfa", "--threads", "1", "--seconds", "0.1", "--out", str(out)]
    assert speed.main(arguments) == 0
    assert asked == [(table.peak, "mnist/mlp", "bp"), (table.peak, "mnist/mlp", "dfa")]
    assert list(pd.read_csv(out).peak_mb) == [1.0, 2.0]


def row(task: str, step_ms: float, method: str = "bp") -> table.Row:
    return table.Row(task, "laptop", 1, "cpu", "fp32", False, method, step_ms, 1.0, 1.0, 1.0, 1.0, 5.0)


def test_a_file_keeps_the_subjects_that_were_not_timed(tmp_path):
    """Without it a change of one domain would cost ten minutes, or leave old rows beside new ones."""
    out = tmp_path / "speed.csv"
    table.write_csv([row("a", 1.0), row("a", 2.0, "dfa"), row("b", 3.0), row("b", 4.0, "shallow")], out)
    table.write_csv([row("b", 5.0), row("b", 6.0, "dfa"), row("c", 7.0)], out)
    frame = pd.read_csv(out)
    found = list(zip(frame.task, frame.method, frame.step_ms, strict=True))
    assert found == [("a", "bp", 1.0), ("a", "dfa", 2.0), ("b", "bp", 5.0), ("b", "dfa", 6.0), ("c", "bp", 7.0)]


@pytest.mark.parametrize("content", ["task,size\n", "", "\x00\xff"])
def test_another_file_is_not_overwritten(tmp_path, content):
    """Without it a mistyped --out would lose somebody's table."""
    out = tmp_path / "other.csv"
    out.write_text(content)
    with pytest.raises(UsageError, match=r"other\.csv: (is another table|cannot be read)"):
        table.write_csv([row("a", 1.0)], out)
    assert out.read_text() == content
