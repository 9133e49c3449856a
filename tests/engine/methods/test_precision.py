"""Types of fewer digits: methods that work in them, and those that refuse them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import Classes, ErrorTap, FeedbackError, FeedbackPoint, Supervision, make_method
from tests.engine.methods.nets import make

Y = torch.arange(8) % 3


def supervision(labels: torch.Tensor) -> Supervision:
    return Supervision(head=lambda tap, scores: F.cross_entropy(scores, labels), targets=lambda tap: Classes(labels, 3))


class Stream(nn.Module):
    """Activations in fp32 and logits in bf16, under autocast."""

    def __init__(self):
        super().__init__()
        self.embedding, self.layer, self.point = nn.Embedding(10, 8), nn.Linear(8, 8), FeedbackPoint(8)
        self.last, self.tap = nn.Linear(8, 3), ErrorTap(3)

    def forward(self, tokens):
        h = self.embedding(tokens)
        return self.tap(self.last(self.point(h + self.layer(h))))


@pytest.mark.parametrize("name", ["dfa", "dkp", "local", "drtp"])
@pytest.mark.parametrize("eager", [True, False])
def test_mixed_types_under_autocast(name, eager):
    model = Stream()
    method = make_method(name, model, **({"eager": eager} if name == "local" else {}))

    def closure():
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy(model(Y), Y)

    method.step(closure, supervision(Y))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_decoders_take_activations_of_any_type(dtype):
    model = Stream().to(dtype)
    make_method("local", model).step(lambda: F.cross_entropy(model(Y), Y), supervision(Y))
    assert model.layer.weight.grad.dtype == dtype


class InHalf(Stream):
    """Activations in fp32; where types of fewer digits are used is an argument."""

    def __init__(self, where):
        super().__init__()
        self.where = where
        if where == "the output":
            self.last.to(torch.bfloat16)

    def forward(self, tokens):
        h = self.embedding(tokens)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.where in ("a branch", "all")):
            h = self.point(h + self.layer(h))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.where in ("the last layer", "all")):
            h = h.to(self.last.weight.dtype)
            return self.tap(self.last(h) if self.where == "the output" else self.last(h).float())


@pytest.mark.parametrize("where", ["a branch", "the last layer", "the output", "all"])
@pytest.mark.parametrize("name", ["forward_gradient", "directional", "node_perturbation"])
def test_differences_of_two_passes_are_refused(name, where):
    """bf16 rounds the difference away, also in a branch or a layer whose result fp32 holds: feedback would be noise."""
    torch.manual_seed(0)
    model = InHalf(where)
    method = make(name, model)

    def closure():
        with torch.autocast("cpu", torch.bfloat16, enabled=where == "all"):
            return F.cross_entropy(model(Y).float(), Y)

    with pytest.raises(FeedbackError, match="need fp32"):
        method.step(closure)


@pytest.mark.parametrize("name", ["forward_gradient", "directional"])
def test_double_precision_is_not_cast(name):
    """Autocast leaves fp64 alone: to refuse it would break what is exact."""
    found = []
    for enabled in (False, True):
        torch.manual_seed(0)
        model = Stream().double()
        method = make_method(name, model).double()

        def closure(model=model, enabled=enabled):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                return F.cross_entropy(model(Y), Y)

        method.step(closure)
        found.append(model.layer.weight.grad)
    assert torch.equal(*found)
