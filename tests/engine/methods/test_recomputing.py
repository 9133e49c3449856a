"""Feedback that recomputes: the gradients of the usual step, from one segment at a time."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, Residual, make_method
from tests.helpers.engine_nets import Net, WithHead, assert_same, batch, build, gradients, mse


class Blocks(nn.Module):
    """Residual blocks with batch norm and dropout, a penalty on what lies below the points, and a head above."""

    def __init__(self, width: int = 6, depth: int = 3) -> None:
        super().__init__()
        self.shared = nn.Linear(width, width)  # all blocks read it: part of several segments
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(depth))
        self.points = nn.ModuleList(FeedbackPoint(width, structure=Residual()) for _ in range(depth))
        self.tap, self.head = ErrorTap(width), nn.Linear(width, 2)
        self.penalty: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        shared, self.penalty = self.shared(x), 0.0
        for layer, norm, point in zip(self.layers, self.norms, self.points, strict=True):
            new = torch.dropout(norm(layer(x)), 0.3, self.training)
            self.penalty = self.penalty + new.square().mean()
            x = point(x + torch.tanh(new) + shared)
        return self.head(self.tap(x))


def loss_of(model: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    return mse(model, data) + 0.1 * getattr(model, "penalty", 0.0)


def step(model: nn.Module, name: str, data: tuple[Tensor, Tensor], **options) -> dict[str, Tensor | None]:
    method = make_method(name, model, **options)
    model.zero_grad()
    torch.manual_seed(3)
    loss = method.step(lambda: loss_of(model, data))
    assert not loss.requires_grad
    return {**gradients(model), "loss": loss, "next random number": torch.rand(1)}


@pytest.mark.parametrize(
    ("name", "options"),
    [("dfa", {}), ("dfa", {"feedback": "uniform", "error": "ternary", "noise": 0.1}), ("structural", {})],
)
def test_gradients_and_everything_else_are_those_of_the_usual_step(name, options):
    """Dropout masks, running statistics, parts that segments share, penalties, the stream of random numbers."""
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model, data = Blocks().double(), tuple(t.double() for t in batch(8, 6, 2))
        gradients_found = step(model, name, data, recompute=recompute, **options)
        found.append({**gradients_found, **{key: b.clone() for key, b in model.named_buffers()}})
    assert_same(*found, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [lambda: build(5, 7, 6, 3, dropout=0.4), WithHead])
def test_every_segment_is_reached(make):
    """Without it the second pass could end at the first tap's input, or send no error below it."""
    torch.manual_seed(0)
    model, data = make(), batch(8, 5, 3)
    found = [step(model, "dfa", data, recompute=recompute) for recompute in (False, True)]
    assert all(gradient is not None for gradient in found[1].values())
    assert_same(*found, rtol=1e-6, atol=1e-7)


def test_several_passes_of_one_step():
    """An encoder that runs twice: each pass has its own signals."""
    model, (x, y) = build(5, 7, 3), batch(8, 5, 3)

    def two_passes() -> Tensor:
        return (model(x) - y).square().mean() + (model(2 * x) + y).square().mean()

    found = []
    for recompute in (False, True):
        method = make_method("dfa", model, recompute=recompute)
        model.zero_grad()
        method.step(two_passes)
        found.append(gradients(model))
    assert_same(*found, rtol=1e-6, atol=1e-7)


def test_activations_are_not_kept():
    """At its second point a pass holds nothing of its first segment any more, in neither pass."""
    model, data = build(5, 7, 6, 3), batch(8, 5, 3)
    method, graphs = make_method("dfa", model, recompute=True), []

    class Watched:
        """Lives as long as the node of a segment's graph that holds it."""

    def watch(layer, inputs, output):
        assert not any(graph() is not None for graph in graphs), "the graph of another segment is still there"
        output.grad_fn.metadata["watched"] = watched = Watched()
        graphs.append(weakref.ref(watched))

    for layer in model.layers:
        layer.register_forward_hook(watch)
    method.step(lambda: mse(model, data))
    assert len(graphs) == 2 * len(model.layers)


def test_what_it_cannot_do_is_said():
    """One line each, where the usual step would have been silent or wrong."""
    model, data = build(5, 7, 3), batch(8, 5, 3)
    method = make_method("dfa", model, recompute=True)
    with pytest.raises(FeedbackError, match=r"method\.step"):
        method.backward(mse(model, data))
    with pytest.raises(FeedbackError, match="depends on no error tap"):
        method.step(lambda: model.layers[0](data[0]).mean())
    with pytest.raises(FeedbackError, match="scalar"):
        method.step(lambda: model(data[0]))
    once = iter([True])
    with pytest.raises(FeedbackError, match="the same each time"):
        method.step(lambda: mse(model, data) if next(once, False) else data[1].mean())
    with pytest.raises(FeedbackError, match="do not compile"):
        make_method("dfa", nn.Sequential(torch.compile(Net(5, 7, 3))), recompute=True)
