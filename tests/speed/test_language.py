"""The Transformer's step timing: its steps are the training loop's, its figures those of the timings, its commands."""

from __future__ import annotations

import argparse
import json
import os

import pytest
import torch

from benchmarks.settings.schema import HardwareConfig
from benchmarks.speed import language_loss, language_step
from benchmarks.speed.language_stepper import FORMS, LanguageStepper
from benchmarks.speed.measure import Timing
from benchmarks.speed.rounds import in_own_process
from benchmarks.training.loop import Loop
from dfa_core import make_method

SIZES = {"streams": 2, "context": 8, "width": 64, "layers": 2, "vocabulary": 258}
OPTIONS = argparse.Namespace(**SIZES, precision="fp32", device="cpu")
ARGUMENTS = ["--repeats", "2", "--threads", "1", *(x for name, n in SIZES.items() for x in (f"--{name}", str(n)))]


@pytest.mark.parametrize("form", FORMS)
def test_a_step_is_the_training_loops(form):
    """Without it a step without clipping, dropout or schedule would be timed, and told as the method's."""
    stepper, other = LanguageStepper(form, OPTIONS), LanguageStepper(form, OPTIONS)
    assert (other.task.model.config.dropout, other.task.model.config.attention_dropout) == (0.1, 0.1)
    assert other.task.model.config.placement == FORMS[form][1]
    task, method = other.task, make_method(FORMS[form][0], other.task.model)
    task.config.epochs, task.config.steps, task.config.eval_every = None, 3, 4
    loop = Loop(task, method, task.config, HardwareConfig(precision="fp32"))
    torch.manual_seed(1)
    loop.run()
    torch.manual_seed(1)
    for _ in range(3):
        stepper.step()
    assert_same_weights(stepper.task.model, task.model)


def assert_same_weights(mine, its):
    for (name, one), (_, other) in zip(mine.named_parameters(), its.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_parts_leave_the_method_ready_for_a_step():
    """Without it the forward pass that is timed alone would leave marks for the next step, which then fails."""
    stepper = LanguageStepper("dfa micro", OPTIONS)
    for _ in range(2):
        for part in stepper.parts().values():
            part()


def timing(*wall: float) -> Timing:
    return Timing(list(wall), [10 * x for x in wall])


def test_figures_are_those_of_the_timings():
    """Without it a ratio could be of other rounds, upside down, or of processor to wall time."""
    timings = {
        ("bp", "step"): timing(2.0, 4.0, 2.0),
        ("dfa macro", "step"): timing(1.0, 3.0, 2.0),
        ("dfa macro", "forward"): timing(0.5, 1.5, 0.5),
        ("dfa macro", "update"): timing(0.1, 0.6, 0.4),
    }
    told = language_step.result(timings, "dfa macro", OPTIONS)
    assert told["milliseconds"] == (2000, 20_000)
    assert told["tokens_per_second"] == 2 * 8 / 2.0
    for name, ratio in {"/bp": 0.75, "forward": 0.5, "update": 0.2}.items():
        assert told[name] == pytest.approx((ratio, ratio))
    assert told["seconds"]["update"] == [0.1, 0.6, 0.4]


def here(function, *arguments):
    """Instead of a process of its own, which takes seconds to start."""
    return function(*arguments)


def test_memory_is_measured_in_a_process_of_its_own():
    """Without it a method's peak could be that of all methods together."""
    assert in_own_process(os.getpid) != os.getpid()


def test_the_step_command_tells_every_form(tmp_path, capsys, monkeypatch):
    """Without it a method could be missing from the table, or be timed under another's name."""
    monkeypatch.setattr(language_step, "in_own_process", here)
    monkeypatch.setenv("COLUMNS", "200")  # a narrow console breaks rows in two
    assert language_step.main([*ARGUMENTS, "--json", str(tmp_path / "x.json")]) == 0
    rows = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    told = json.loads((tmp_path / "x.json").read_text())
    assert rows == list(told["forms"]) == ["bp", "dfa macro", "dfa micro", "shallow"]
    assert told["settings"]["vocabulary"] == 258
    assert told["forms"]["bp"]["/bp"] == [1.0, 1.0]


@pytest.mark.parametrize("form", language_loss.FORMS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compared_losses_are_one(form, precision):
    """Without it a faster one could be faster because it computes something else."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((12, 4), (9, 4), (9,)))
    leaves = [x.requires_grad_() for x in (hidden, weight, bias)]
    targets = torch.randint(9, (12,), generator=generator)
    expected = -(hidden @ weight.T + bias).log_softmax(1)[range(12), targets].mean()
    gradients = torch.autograd.grad(expected, leaves)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = language_loss.FORMS[form](*leaves, targets)
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if precision == "fp32" else {"rtol": 0.05, "atol": 0.01}
    torch.testing.assert_close(loss.float(), expected, **tolerance)
    loss.backward()
    for leaf, gradient in zip(leaves, gradients, strict=True):
        torch.testing.assert_close(leaf.grad, gradient, **tolerance)


def test_the_loss_command_tells_every_form(tmp_path, capsys, monkeypatch):
    """Without it the comparison could lack the form that training uses."""
    monkeypatch.setattr(language_loss, "in_own_process", here)
    sizes = ["--tokens", "16", "--width", "8", "--vocabulary", "50", "--threads", "1", "--repeats", "1"]
    assert language_loss.main([*sizes, "--json", str(tmp_path / "x.json")]) == 0
    rows = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    told = json.loads((tmp_path / "x.json").read_text())
    assert rows == list(told["forms"]) == list(language_loss.FORMS)
    assert told["forms"]["plain"]["/plain"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (language_step, ["--streams", "0"]),
        (language_step, ["--width", "100"]),
        (language_step, ["--precision", "fp8"]),
        (language_step, ["--json", "/nowhere/x.json"]),
        (language_loss, ["--vocabulary", "many"]),
        (language_loss, ["--json", "/nowhere/x.json"]),
    ],
)
def test_bad_arguments_are_refused_in_one_line(command, argv, capsys):
    """Without it a typo would end in a traceback, or after minutes of timing."""
    with pytest.raises(SystemExit) as stopped:
        command.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
