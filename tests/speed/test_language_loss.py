"""The comparison of vocabulary losses: all forms are one loss, and its command tells each of them."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.speed import language_loss


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


def test_the_command_tells_every_form(tmp_path, capsys, monkeypatch):
    """Without it the comparison could lack the form that training uses."""
    monkeypatch.setattr(language_loss, "in_own_process", lambda function, *arguments: function(*arguments))
    sizes = ["--tokens", "16", "--width", "8", "--vocabulary", "50", "--threads", "1", "--repeats", "1"]
    assert language_loss.main([*sizes, "--json", str(tmp_path / "x.json")]) == 0
    rows = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    told = json.loads((tmp_path / "x.json").read_text())
    assert rows == list(told["forms"]) == list(language_loss.FORMS)
    assert told["forms"]["plain"]["/plain"] == [1.0, 1.0]


@pytest.mark.parametrize("argv", [["--vocabulary", "many"], ["--json", "/nowhere/x.json"]])
def test_bad_arguments_are_refused_in_one_line(argv, capsys):
    """Without it a typo would end in a traceback, or after minutes of timing."""
    with pytest.raises(SystemExit) as stopped:
        language_loss.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
