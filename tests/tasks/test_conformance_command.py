"""`python -m benchmarks.conformance`: it accepts a right method, and names what is wrong with another."""

from __future__ import annotations

import pytest

from benchmarks.conformance.__main__ import main
from tests import REPOSITORY

pytestmark = pytest.mark.usefixtures("own_methods")

WRONG = """
import torch
from dfa_core import FeedbackMethod, register

@register("{name}")
class Wrong(FeedbackMethod):
    def __init__(self, model, *, feedback_seed=0):
        super().__init__(model, feedback_seed=feedback_seed)
        self.steps = 0
        {extra}

    def signal(self, point, activation, error):
        self.steps += 1
        return {signal}
"""
KINDS = {
    "silent": ("pass", "torch.zeros_like(activation)", "never got a gradient that is not zero"),
    "forgetful": ("pass", "torch.ones_like(activation) / self.steps", "after resuming"),
    "greedy": (
        "torch.nn.init.zeros_(next(model.parameters()))",
        "torch.ones_like(activation)",
        "initial weights differ",
    ),
    "broken": ("pass", "activation[:1]", "FeedbackError|has shape"),
    "leaving": ("pass", "exit(0)", "SystemExit: 0"),  # with the exit code of a method that conforms
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_method_is_named(kind, tmp_path, capsys, monkeypatch):
    """Each fault by the check that is there for it."""
    extra, signal, said = KINDS[kind]
    plugin = tmp_path / f"{kind}_method.py"
    plugin.write_text(WRONG.format(name=f"wrong_{kind}", extra=extra, signal=signal))
    assert main([str(plugin), "--tasks", "citation/gcn_cora", "--methods", f"wrong_{kind}"]) == 1
    out = capsys.readouterr().out
    assert any(part in out for part in said.split("|")) and "citation/gcn_cora" in out


def test_the_example_conforms(capsys):
    """examples/node_perturbation.py was written from docs/extending.md alone, in fewer than 60 lines."""
    example = REPOSITORY / "examples" / "node_perturbation.py"
    assert len(example.read_text().splitlines()) <= 60
    tasks = "citation/gcn_cora,criteo/dcn"
    assert main([str(example), "--tasks", tasks, "--methods", "node_perturbation"]) == 0
    assert "0 failure(s) in 1 method(s) on 2 task(s)" in capsys.readouterr().out


def test_an_unknown_method_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--methods", "fb"])
    assert ended.value.code == 2 and "did you mean" in capsys.readouterr().err
