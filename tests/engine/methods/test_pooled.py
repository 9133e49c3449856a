"""Structural feedback through a pooling that a learned layer reads."""

from __future__ import annotations

import torch
from torch import nn

from dfa_core import ErrorTap, FeedbackPoint, Pooled, make_method
from tests.engine.methods.nets import classification, take_step
from tests.helpers.engine_nets import assert_same, gradients

DATA = classification()
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


class Pooled2(nn.Module):
    """Two points with tokens ``(n, 3, width)`` on one stream, whose mean over tokens a linear layer reads."""

    def __init__(self):
        super().__init__()
        structure = Pooled(lambda e: (e / 3).unsqueeze(1).expand(-1, 3, -1), 6)
        self.enter = nn.Linear(5, 6)
        self.points = nn.ModuleList(FeedbackPoint((3, 6), structure=structure) for _ in range(2))
        self.output, self.tap = nn.Linear(6, 4), ErrorTap(4)

    def forward(self, x):
        h = self.points[0](self.enter(x).unsqueeze(1) * torch.arange(1.0, 4.0, dtype=x.dtype).view(1, 3, 1))
        return self.tap(self.output(self.points[1](h).mean(1)))


def test_pooled_feedback_with_the_true_weight_is_backprop():
    """Sᵀ B e with B = W: the error takes the mean's own transpose, and one matrix stands for the layer behind it."""
    torch.manual_seed(0)
    model = Pooled2().double()
    method = make_method("structural", model).double()
    for matrices in method.feedback.values():
        assert matrices.weight.shape == (6, 4)
        matrices.weight.copy_(model.output.weight.T)
    take_step(method, model, DATA)
    found = gradients(model)
    assert_same(found, gradients_of_backprop(model), **CLOSE)


def gradients_of_backprop(model):
    method = make_method("bp", model)
    take_step(method, model, DATA)
    return gradients(model)


def test_points_that_are_pooled_alike_share_one_matrix():
    """They stand for the same learned layer."""
    method = make_method("structural", Pooled2())
    first, second = (matrices.weight for matrices in method.feedback.values())
    assert torch.equal(first, second)
