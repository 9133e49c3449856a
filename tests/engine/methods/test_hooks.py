"""Hooks on parameters: each sees the whole gradient, once a step, or the step is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dfa_core import Classes, ErrorTap, FeedbackError, FeedbackPoint, Supervision, make_method
from tests.helpers.engine_nets import assert_same, gradients

X, Y = torch.linspace(-1, 1, 40, dtype=torch.float64).sin().reshape(8, 5), torch.arange(8) % 3
SUPERVISION = Supervision(head=lambda tap, scores: scores.square().mean(), targets=lambda tap: Classes(Y, 3))
ONE_BY_ONE = [("dfa", {"recompute": True}, "recompute=False"), ("local", {}, "eager=False")]


@pytest.mark.parametrize("name", ["bp", "dfa", "drtp"])
def test_hooks_of_tied_weights_see_one_gradient(name):
    """A hook that clips would see two parts, and an optimizer that steps in the backward pass would step twice."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.point, self.layer, self.tap = (
                nn.Linear(5, 8),
                FeedbackPoint(8),
                nn.Linear(8, 8),
                ErrorTap(8),
            )

        def forward(self, x):
            return self.tap(self.layer(self.point(self.first(x)))) @ self.first.weight

    model, seen = Tied().double(), []
    model.first.weight.register_hook(seen.append)
    model.first.weight.register_post_accumulate_grad_hook(seen.append)
    method = make_method(name, model)
    method.step(lambda: model(X).square().mean(), SUPERVISION)
    assert len(seen) == 2
    torch.testing.assert_close(seen[0], model.first.weight.grad)


def test_hooks_of_tied_weights_are_refused_where_the_way_back_differs():
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), FeedbackPoint(5), nn.Linear(5, 5), ErrorTap(5)).double()
    model[0].weight.register_hook(lambda gradient: None)
    method = make_method("fa", model)
    with pytest.raises(FeedbackError, match="a parameter with hooks is used on both sides"):
        method.step(lambda: (model(X) @ model[0].weight).square().mean())


class Shared(nn.Module):
    """Reads one layer in two segments, in its last one, or above the tap, and has others of their own."""

    def __init__(self, where):
        super().__init__()
        torch.manual_seed(0)
        self.shared, self.own = nn.Linear(5, 5), nn.ModuleList(nn.Linear(5, 5) for _ in range(3))
        self.points, self.tap, self.where = nn.ModuleList(FeedbackPoint(5) for _ in range(2)), ErrorTap(5), where

    def forward(self, x):
        x = self.points[0](torch.tanh(self.own[0](self.shared(x))))
        x = self.own[1](self.shared(x) if self.where == "a segment" else x)
        x = self.points[1](torch.tanh(x))
        x = self.tap(self.own[2](self.shared(x) if self.where == "the last segment" else x))
        return self.shared(x) if self.where == "above the tap" else x


def register(parameter, kind, hook):
    return parameter.register_hook(hook) if kind == "hook" else parameter.register_post_accumulate_grad_hook(hook)


def step_of(model, name, options, passes=1):
    method = make_method(name, model, **options).double()
    method.step(lambda: sum(model((1 + i) * X).square().mean() for i in range(passes)), SUPERVISION)
    return method


@pytest.mark.parametrize("kind", ["hook", "post"])
@pytest.mark.parametrize("where", ["a segment", "the last segment", "above the tap"])
@pytest.mark.parametrize(("name", "options", "hint"), ONE_BY_ONE)
def test_a_parameter_of_several_segments(name, options, hint, where, kind):
    """Its hooks would run once a segment: a clipping hook would see parts, an optimizer in a hook would step twice."""
    model, seen = Shared(where).double(), []
    handle = register(model.shared.weight, kind, lambda gradient: seen.append(gradient) and None)
    method = make_method(name, model, **options).double()
    with pytest.raises(FeedbackError, match=rf"'shared.weight' has hooks.*several segments.*{hint}"):
        method.step(lambda: model(X).square().mean(), SUPERVISION)
    handle.remove()
    method.step(lambda: model(X).square().mean(), SUPERVISION)  # the error leaves no trace


@pytest.mark.parametrize("kind", ["hook", "post"])
@pytest.mark.parametrize(("name", "options", "hint"), ONE_BY_ONE)
def test_a_parameter_of_one_segment(name, options, hint, kind):
    """One call with the whole gradient, as docs/engine.md says, except where the model runs twice."""
    model, plain, seen = Shared("nowhere else").double(), Shared("nowhere else").double(), []
    for parameter in model.parameters():
        register(parameter, kind, lambda gradient: seen.append(gradient) and None)
    step_of(model, name, options)
    step_of(plain, name, options)
    assert len(seen) == len([*model.parameters()])
    assert_same(gradients(model), gradients(plain))
    with pytest.raises(FeedbackError, match=hint):
        step_of(model, name, options, passes=2)


@pytest.mark.parametrize(("name", "options", "hint"), ONE_BY_ONE)
def test_the_way_out_runs_each_hook_once(name, options, hint):
    """The message must not send anybody to a setting that does the same."""
    model, seen = Shared("a segment").double(), []
    model.shared.weight.register_hook(seen.append)
    step_of(model, name, {"eager": False} if name == "local" else {"recompute": False}, passes=2)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], model.shared.weight.grad)
