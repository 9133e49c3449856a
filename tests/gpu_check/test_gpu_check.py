"""The check of a GPU, on the CPU: what it compares, what it draws, and what it says of a difference."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks.catalogue.discovery import representatives
from benchmarks.gpu_check import __main__ as gpu_check
from benchmarks.gpu_check import gradients as gradients_module
from benchmarks.gpu_check.drawn_on_cpu import DrawnOnCPU
from benchmarks.gpu_check.gradients import TOLERANCE, compared
from benchmarks.gpu_check.lego import Trained
from benchmarks.gpu_check.report import Steps, verdict
from benchmarks.speed.rounds import WaitsForDevice
from benchmarks.training.run import Run
from dfa_core.noise import seeded_generator

pytestmark = pytest.mark.usefixtures("folder")
LEGO = Trained("bp", "stand-in", "smoke", 3, 1.0, 10.0)


def draws() -> list[torch.Tensor]:
    torch.manual_seed(3)
    found = [
        torch.rand(5),
        torch.randn(2, 3),
        torch.randperm(7),
        torch.randint(9, (4,)),
        torch.bernoulli(torch.rand(6)),
    ]
    found.append(torch.empty(4).normal_(generator=seeded_generator(0, "a")))
    mask = torch.nn.functional.dropout(torch.ones(8), 0.5)
    return [*found, mask, torch.empty(3).uniform_(-1, 1), torch.rand_like(mask)]


def test_draws_are_those_of_the_cpu():
    """Without it two devices would be compared with different random numbers, or in-place draws be lost."""
    expected = draws()
    with DrawnOnCPU():
        found = draws()
    assert all(map(torch.equal, found, expected))


def test_a_draw_elsewhere_goes_where_it_was_asked_for():
    """Without it a network on a GPU would get numbers on the CPU. "meta" stands for the other device."""
    with DrawnOnCPU():
        assert torch.rand(3, device="meta").device.type == "meta"


def test_every_method_is_compared_and_agrees_with_itself():
    """Without it a method could be left out in silence; one that a task does not have says why."""
    found = list(compared(["criteo/deepfm"], ["bp", "dfa", "mezo", "fa"], "cpu", "results"))
    assert [one.method for one in found] == ["bp", "dfa", "mezo", "fa"]
    assert all(one.error == 0 or one.reason for one in found) and all(one.passed for one in found)
    (skipped,) = compared(["criteo/fm"], ["dfa"], "cpu", "results")
    assert math.isnan(skipped.error) and skipped.reason and skipped.passed


def test_another_gradient_fails(monkeypatch):
    """Without it the check could not fail."""
    original = gradients_module.gradients
    calls = []

    def wrong(run: Run, device: torch.device) -> dict[str, torch.Tensor]:
        found = original(run, device)
        calls.append(device)
        if len(calls) == 2:  # the device's
            found["project.weight"] = found["project.weight"] * 1.01
        return found

    monkeypatch.setattr(gradients_module, "gradients", wrong)
    (one,) = compared(["citation/gcn_cora"], ["dfa"], "cpu", "results")
    assert not one.passed and one.parameter == "project.weight" and one.error == pytest.approx(0.01, rel=1e-3)
    assert verdict([one], Steps([], [], [])).startswith(f"1 of 1 gradients differ by more than {TOLERANCE:g}")


def test_the_whole_check_can_be_planned():
    """Without it the tasks of the full run, of which some have no step to time, would be met on the GPU first."""
    options = gpu_check._arguments(["--device", "cpu"])
    assert options.tasks == sorted(representatives())
    assert {subject.task for subject in options.subjects} == set(representatives()) - {"criteo/fm"}


def test_a_data_root_relative_to_here_is_found(monkeypatch):
    """Without it `DFA_DATA_DIR=data` would be looked for elsewhere, and Lego be trained on a stand-in in silence."""
    monkeypatch.setenv("DFA_DATA_DIR", "data")
    monkeypatch.setattr(gpu_check, "compared", lambda *arguments: [])
    monkeypatch.setattr(gpu_check, "measure", lambda subject, options: [])
    seen = []
    monkeypatch.setattr(gpu_check, "trained", lambda *arguments: seen.append(Path("data").is_dir()) or LEGO)
    Path("data").mkdir()
    assert gpu_check.main(["--device", "cpu", "--tiny"]) == 0
    assert seen == [True, True]


def test_the_command_tells_all_of_it(tmp_path, capsys, monkeypatch):
    """Without it the script would be tried for the first time on the GPU that somebody rents."""
    assert gpu_check.main(["--device", "cpu", "--tiny", "--tasks", "mnist/mlp", "--out", str(tmp_path / "x.json")]) == 0
    told = json.loads((tmp_path / "x.json").read_text())
    assert {row["dtype"] for row in told["steps"]["rows"]} == {"fp32", "bf16"}
    assert [one["method"] for one in told["lego"]] == ["bp", "dfa"] and all(one["psnr"] > 0 for one in told["lego"])
    assert len(told["gradients"]) >= 16 and told["machine"]["accelerator"] == "none"
    assert "0 step(s) make the host wait" in capsys.readouterr().out


def test_a_step_that_waits_is_a_failure(monkeypatch, capsys):
    """Without it a host synchronisation would pass."""

    def waits(subject, options):
        raise WaitsForDevice(f"{subject.task}: a step waits for the GPU")

    monkeypatch.setattr(gpu_check, "measure", waits)
    assert gpu_check.main(["--device", "cpu", "--tiny", "--tasks", "mnist/mlp"]) == 1
    assert "2 step(s) make the host wait" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["--device", "cpu", "--tasks", "nothing"], ["--device", "cpu", "--out", "/no/x"]])
def test_bad_arguments_are_refused_in_one_line(argv, capsys):
    """Without it somebody without a GPU would get a traceback."""
    if not argv and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit) as stopped:
        gpu_check.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
