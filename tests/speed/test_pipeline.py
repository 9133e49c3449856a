"""The pipeline over two processes: its gradients are those of one process, under backprop and under DFA."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.speed import pipeline
from benchmarks.speed.pipeline import CLASSES, FORMS, Sizes, Stage, step_of
from dfa_core import DFA

SIZES = Sizes(depth=4, width=6, rows=8, parts=2)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SIZES.rows, SIZES.width, generator=generator), torch.arange(SIZES.rows) % CLASSES


def gradients(rank: int, meeting: str) -> dict[str, list[Tensor]]:
    """One process: its stage's gradients of a batch, by form."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    try:
        found = {}
        for form in FORMS:
            stage, step = step_of(form, SIZES, rank, *batch())
            step()
            found[form] = [p.grad.clone() for p in stage.parameters()]
        return found
    finally:
        dist.destroy_process_group()


class Whole(nn.Module):
    """Both stages in one process; the first stage's tap stays unused."""

    def __init__(self, marked: bool) -> None:
        super().__init__()
        first, self.last = (Stage(SIZES, rank, marked) for rank in range(2))
        self.first = first.blocks

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))


def alone(form: str) -> list[Tensor]:
    x, y = batch()
    model = Whole(marked=form == "dfa")
    backward = DFA(model).backward if form == "dfa" else Tensor.backward
    backward(F.cross_entropy(model(x), y))
    return [p.grad for stage in (model.first, model.last) for p in stage.parameters()]


def test_two_processes_have_the_gradients_of_one(tmp_path):
    """Without it a stage could be trained by errors of another batch, or by feedback of its own."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        each = [pool.submit(gradients, rank, str(tmp_path / "meeting")) for rank in range(2)]
        stages = [one.result(timeout=120) for one in each]
    for form in FORMS:
        mine, its = [*stages[0][form], *stages[1][form]], alone(form)
        assert len(mine) == len(its)
        for a, b in zip(mine, its, strict=True):
            torch.testing.assert_close(a, b, msg=form)


def test_the_command_tells_every_form(monkeypatch, tmp_path, capsys):
    """Without it a pipeline could be missing from the table."""
    taken = {form: pipeline.Taken([2.0, 4.0], [1.0, 1.0]) for form in FORMS}
    monkeypatch.setattr(pipeline, "measure", lambda sizes, steps: [taken, taken])
    monkeypatch.setenv("COLUMNS", "120")
    assert pipeline.main(["--json", str(tmp_path / "x.json")]) == 0
    assert list(json.loads((tmp_path / "x.json").read_text())["pipeline"]["stages"][0]) == list(FORMS)
    assert "62%" in capsys.readouterr().out  # of 1/2 and 3/4


@pytest.mark.parametrize("argv", [["--depth", "3"], ["--rows", "10", "--micro-batches", "4"], ["--json", "/no/x"]])
def test_bad_arguments_are_refused_in_one_line(argv, capsys):
    """Without it a typo would end in a traceback of two processes."""
    with pytest.raises(SystemExit) as stopped:
        pipeline.main(argv)
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
