"""Buffers in steps of several passes: each pass starts from the same, and a step moves them once."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackPoint, make_method, measure_alignment
from tests.engine.methods.nets import classification
from tests.helpers.engine_nets import assert_same, gradients

X, Y = classification()
SEVERAL = [
    ("dfa", {"recompute": True}),
    ("mezo", {}),
    ("directional", {}),
    ("forward_gradient", {}),
    ("pepita", {}),
    ("predictive_coding", {}),
    ("bp_recompute", {}),
]


class Counting(nn.Module):
    """A block that counts its runs: in a new tensor, in place, in one entry for several, in one that it makes first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer, self.point = nn.Linear(inputs, outputs), FeedbackPoint(outputs)
        self.register_buffer("assigned", torch.zeros(()))
        self.register_buffer("changed", torch.zeros(()))
        self.register_buffer("made", None)
        self.register_buffer("one", torch.zeros(1, 4, dtype=torch.float64))
        self.register_buffer("expanded", self.one.expand(3, 4))
        self.register_buffer("sparse", torch.eye(outputs, dtype=torch.float64).to_sparse())

    def forward(self, x, debug=False, **options):
        self.assigned = self.assigned + 1
        self.changed += 1
        self.made = torch.ones(()) if self.made is None else self.made + 1
        self.one += 1
        h = torch.tanh(self.layer(x)) * (2 if debug else 1 + self.expanded.mean())
        return self.point(torch.sparse.mm(self.sparse, h.T).T)


class Blocks(nn.Module):
    def __init__(self, **options) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.options = Counting(5, 7), Counting(7, 6), options
        self.last, self.tap = nn.Linear(6, 4), ErrorTap(4)

    def forward(self, x):
        return self.tap(self.last(self.b(self.a(x, **self.options), **self.options)))


def counts(model):
    return [
        float(0 if value is None else value)
        for block in (model.a, model.b)
        for value in (block.assigned, block.changed, block.expanded[2, 3], block.made)
    ]


@pytest.mark.parametrize(("name", "options"), SEVERAL)
def test_a_step_moves_them_once(name, options):
    """Assigned anew, made first or changed in place; one that repeats its entries cannot be written to as a whole."""
    model = Blocks().double()
    method = make_method(name, model, **options).double()
    for steps in (1, 2):
        method.step(lambda: F.cross_entropy(model(X), Y))
        assert counts(model) == [steps] * 8
    assert model.a.expanded.stride() == (0, 1)


@pytest.mark.parametrize("name", ["dfa", "mezo"])
def test_measuring_moves_none(name):
    model = Blocks().double()
    measure_alignment(make_method(name, model).double(), lambda: F.cross_entropy(model(X), Y))
    assert counts(model) == [0] * 8


def test_every_run_of_a_segment_reads_the_same():
    found = []
    for recompute in (False, True):
        model = Blocks().double()
        make_method("dfa", model, recompute=recompute).step(lambda model=model: F.cross_entropy(model(X), Y))
        found.append(gradients(model))
    assert_same(*found, rtol=1e-12, atol=1e-14)


def test_a_blocks_own_keywords_are_not_those_of_checkpointing():
    """PyTorch's `checkpoint` has a `debug`, a `use_reentrant` and more."""
    found = []
    for name in ("bp", "bp_recompute"):
        model = Blocks(debug=True, use_reentrant=True, determinism_check="none").double()
        make_method(name, model).step(lambda model=model: F.cross_entropy(model(X), Y))
        found.append(gradients(model))
    assert_same(*found)
