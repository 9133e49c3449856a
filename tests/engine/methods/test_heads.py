"""Heads that methods of local losses run again: they move nothing, and read nothing that the step has moved."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, Supervision, make_method
from tests.engine.methods.nets import classification, net, supervision_of
from tests.helpers.engine_nets import assert_same, gradients

X, Y = DATA = classification()
METHODS = [
    ("local", {"eager": True}),
    ("local", {"eager": False}),
    ("forward_gradient", {"guess": "local"}),
]


class UnderHead(nn.Module):
    """A network with dropout below its tap, and a head above it."""

    def __init__(self, *above: nn.Module) -> None:
        super().__init__()
        self.body, self.head = net(5, 7, 6, 4, dropout=0.3), nn.Sequential(*above, nn.Linear(4, 3))

    def forward(self, x):
        return self.head(self.body(x))


def model_of(*above):
    torch.manual_seed(0)
    return UnderHead(*above).double()


def supervised(model):
    return Supervision(head=lambda tap, output: F.cross_entropy(model.head(output), Y % 3))


def after_step(name, options, model):
    """Gradients, buffers and the next random number."""
    method = make_method(name, model, **options).double()
    torch.manual_seed(1)
    method.step(lambda: F.cross_entropy(model(X), Y % 3), supervised(model))
    found = {**gradients(model), **{f"own {n}": g for n, g in gradients(method).items()}}
    return {**found, **{n: b.clone() for n, b in model.named_buffers()}, "next": torch.rand(1)}


@pytest.mark.parametrize("above", [nn.Dropout(0.5), nn.BatchNorm1d(4)])
@pytest.mark.parametrize(("name", "options"), METHODS)
def test_what_a_head_draws_and_counts_is_no_part_of_the_step(name, options, above):
    """Statistics would be those of the decoders' guesses, and other masks would fall on the network itself."""
    found = after_step(name, options, model_of(copy.deepcopy(above)))
    plain = after_step("bp", {}, model_of(copy.deepcopy(above)))
    buffers = [key for key in plain if "running" in key or "batches" in key]
    assert_same({key: found[key] for key in [*buffers, "next"]}, {key: plain[key] for key in [*buffers, "next"]})
    torch.testing.assert_close(found["head.1.weight"], plain["head.1.weight"])  # the same masks in the pass itself


@pytest.mark.parametrize("above", [nn.Dropout(0.5), nn.BatchNorm1d(4)])
def test_heads_draw_the_same_early_and_late(above):
    """`eager` is a matter of memory."""
    early, late = (after_step("local", {"eager": eager}, model_of(copy.deepcopy(above))) for eager in (True, False))
    assert_same(early, late, rtol=1e-9, atol=1e-12)


def sgd(parameter):
    parameter.data.sub_(parameter.grad)
    parameter.grad = None


@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize(("name", "options"), [("bp", {}), ("dfa", {}), *METHODS])
def test_an_optimizer_in_the_backward_pass(name, options, some, caplog):
    """The signals below would be made with a head that has moved already; and all parameters reported as idle."""
    found = []
    for hooked in (True, False):
        model = model_of(nn.Tanh())
        for p in [*model.parameters()][2 if some else 0 :] if hooked else []:
            p.register_post_accumulate_grad_hook(sgd)
        method = make_method(name, model, **options).double()
        torch.manual_seed(1)
        with caplog.at_level(logging.INFO):
            method.step(lambda model=model: F.cross_entropy(model(X), Y % 3), supervised(model))
        for p in model.parameters():
            if p.grad is not None:
                sgd(p)
        found.append({n: p.detach().clone() for n, p in model.named_parameters()})
    assert_same(*found)
    assert not caplog.records


@pytest.mark.parametrize("name", ["dfa", "local", "predictive_coding", "pepita"])
def test_a_copy_of_a_method_says_that_it_is_none(name):
    twin = copy.deepcopy(make_method(name, net()).double())
    with pytest.raises(FeedbackError, match="copies"):
        twin.step(lambda: F.cross_entropy(twin.model(X), Y), supervision_of(DATA))


class Inferred(nn.Module):
    """Features of a frozen part, made in inference mode, go through a point into a layer without weights to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.point, self.tap = nn.Linear(5, 4).requires_grad_(False), FeedbackPoint(4), ErrorTap(4)
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        with torch.inference_mode():
            h = self.frozen(x)
        return self.tap(self.point(h) + self.bias)


def test_decoders_learn_from_features_of_inference_mode():
    found = []
    for name, options in [("dfa", {}), *METHODS]:
        torch.manual_seed(0)
        model = Inferred().double()
        method = make_method(name, model, **options).double()
        method.step(lambda model=model: F.cross_entropy(model(X), Y), supervision_of(DATA))
        found.append(model.bias.grad)
        assert all(p.grad is not None and p.grad.any() for p in method.parameters() if name == "local")
    assert all(torch.equal(found[0], other) for other in found)
