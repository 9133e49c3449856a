"""The step-time measurement of NeRF: that the part it times alone is the part of a step, and its command line."""

from __future__ import annotations

import argparse

import pytest
import torch

from benchmarks.speed import nerf_step
from benchmarks.speed.nerf_stepper import METHODS, NeRFStepper

TINY = argparse.Namespace(rays=4, coarse=4, fine=4, precision="fp32", device="cpu", compile=False)


@pytest.mark.parametrize("method", METHODS)
def test_fields_alone_do_what_they_do_in_a_step(method, monkeypatch):
    """Without it the fields' share could be that of less work, and everything around them look expensive."""
    before: list[torch.Tensor] = []
    update = torch.optim.Adam.step

    def remember(optimizer):
        before.extend(p.detach().clone() for group in optimizer.param_groups for p in group["params"])
        update(optimizer)

    monkeypatch.setattr(torch.optim.Adam, "step", remember)
    stepper = NeRFStepper("4×128", method, TINY)  # takes the step that it records
    parameters = [p for group in stepper.loop.optimizer.param_groups for p in group["params"]]
    in_step = [p.grad for p in parameters]
    with torch.no_grad():
        for p, value in zip(parameters, before, strict=True):
            p.copy_(value)
    stepper.fields()
    assert any(gradient is not None and gradient.any() for gradient in in_step)
    for p, expected in zip(parameters, in_step, strict=True):
        assert (p.grad is None) == (expected is None)
        if expected is not None:
            assert torch.equal(p.grad, expected)


@pytest.mark.parametrize(
    "argv", [["--rays", "0"], ["--coarse", "2"], ["--precision", "fp8"], ["--json", "/nowhere/x.json"], ["-x"]]
)
def test_bad_arguments_are_refused_in_one_line(argv, capsys):
    """Without it a typo would end in a traceback, or after minutes of timing."""
    with pytest.raises(SystemExit) as stopped:
        nerf_step.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
