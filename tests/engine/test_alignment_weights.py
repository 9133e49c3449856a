"""The probe at the weights: each point's weight gradients against hand-written formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from dfa_core import ErrorTap, FeedbackPoint, make_method, measure_alignment
from tests.helpers.engine_nets import batch, build, mse


def assert_angles(found, pairs):
    """``found`` holds the cosines of ``pairs``: (true, sent) by parameter."""
    whole = [torch.cat([pair[side].flatten() for pair in pairs.values()]) for side in (0, 1)]
    assert found.cosine == pytest.approx(cosine_similarity(*whole, dim=0).item(), abs=1e-5)
    each = {name: cosine_similarity(a.flatten(), b.flatten(), dim=0).item() for name, (a, b) in pairs.items()}
    assert found.parameters == pytest.approx(each, abs=1e-5)
    rows = torch.cat([cosine_similarity(a, b, dim=1) for a, b in pairs.values() if a.ndim > 1])
    torch.testing.assert_close(found.rows, rows, rtol=1e-4, atol=1e-5)


def test_agrees_with_the_formulas_of_a_three_layer_network():
    """Without it a point could be given the weights above it, or another point's signal."""
    model, (x, target) = build(5, 7, 6, 3), batch(16, 5, 3)
    method = make_method("dfa", model)
    found = measure_alignment(method, lambda: mse(model, (x, target)))
    with torch.no_grad():
        first, second, last = model.layers
        h1 = torch.tanh(x @ first.weight.T + first.bias)
        h2 = torch.tanh(h1 @ second.weight.T + second.bias)
        e = 2 * (h2 @ last.weight.T + last.bias - target) / target.numel()
        true2 = e @ last.weight * (1 - h2**2)
        true1 = true2 @ second.weight * (1 - h1**2)
        sent2 = e @ method.matrix("points.1") * (1 - h2**2)
        sent1 = e @ method.matrix("points.0") * (1 - h1**2)
    assert list(found.weights) == ["points.0", "points.1"] and found.deepest_point == "points.0"
    weight1, bias1 = (true1.T @ x, sent1.T @ x), (true1.sum(0), sent1.sum(0))
    assert_angles(found.weights["points.0"], {"layers.0.weight": weight1, "layers.0.bias": bias1})
    weight2, bias2 = (true2.T @ h1, sent2.T @ h1), (true2.sum(0), sent2.sum(0))
    assert_angles(found.weights["points.1"], {"layers.1.weight": weight2, "layers.1.bias": bias2})


def test_backprops_own_maps_give_one():
    """Without it a sign or a sum over samples could differ between the two sides, and alignment look low."""
    model, data = build(5, 7, 6, 3, act=lambda a: a), batch(16, 5, 3)
    method = make_method("dfa", model, feedback="uniform")
    with torch.no_grad():
        method.matrix("points.1").copy_(model.layers[2].weight)
        method.matrix("points.0").copy_(model.layers[2].weight @ model.layers[1].weight)
    for weights in measure_alignment(method, lambda: mse(model, data)).weights.values():
        assert weights.cosine == pytest.approx(1, abs=1e-5)
        assert list(weights.parameters.values()) == pytest.approx([1, 1], abs=1e-5)
        torch.testing.assert_close(weights.rows, torch.ones_like(weights.rows))


class Tied(nn.Module):
    """One matrix in both hidden layers; the second point's other parameter is an embedding of four entries."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shared, self.last = nn.Linear(6, 6, bias=False), nn.Linear(6, 3)
        self.table = nn.Embedding(4, 6)
        self.points = nn.ModuleList([FeedbackPoint(6), FeedbackPoint(6), FeedbackPoint(6)])
        self.tap = ErrorTap(3)
        self.places = torch.tensor([0, 2] * 4)

    def forward(self, x):
        x = self.points[0](x * 1.0)  # nothing to learn below
        x = self.points[1](torch.tanh(self.shared(x)))
        x = self.points[2](torch.tanh(self.shared(x) + self.table(self.places[: len(x)])))
        return self.tap(self.last(x))


def tied_pairs(model, method, data):
    """(true, sent) gradients of what the second and third point have below them, by autograd on a model cut by hand."""
    x, target = data
    e = 2 * (model(x) - target).detach() / target.numel()
    h1 = torch.tanh(model.shared(x))
    cut = h1.detach().requires_grad_()
    h2 = torch.tanh(model.shared(cut) + model.table(model.places))
    true2 = e @ model.last.weight.detach()
    true1 = torch.autograd.grad(h2, cut, true2, retain_graph=True)[0]

    def both(h, true, point, *inputs):
        sent = e @ method.matrix(point)
        grads = [torch.autograd.grad(h, inputs, gradient, retain_graph=True) for gradient in (true, sent)]
        return list(zip(*grads, strict=True))

    return (
        both(h1, true1, "points.1", model.shared.weight),
        both(h2, true2, "points.2", model.shared.weight, model.table.weight),
    )


def test_a_shared_matrix_counts_for_each_point_by_itself():
    """Without it the good angle of one use would hide the bad one of the other; unused entries would count as 0."""
    model, data = Tied(), batch(8, 6, 3)
    method = make_method("dfa", model)
    found = measure_alignment(method, lambda: mse(model, data))
    method.reset()
    lower, (matrix, table) = tied_pairs(model, method, data)
    method.reset()
    assert set(found.weights) == {"points.1", "points.2"}
    assert_angles(found.weights["points.1"], {"shared.weight": lower[0]})
    held = [gradient[[0, 2]] for gradient in table]
    assert_angles(found.weights["points.2"], {"shared.weight": matrix, "table.weight": held})
    assert len(found.weights["points.2"].rows) == 6 + 2
    assert found.parameters["shared.weight"] != pytest.approx(found.weights["points.1"].cosine, abs=1e-3)


def test_chunks_of_a_batch_are_summed():
    """Without it only the last chunk's gradient, or the mean of the chunks' angles, would be measured."""
    model, data = build(5, 7, 6, 3), batch(8, 5, 3)
    method = make_method("dfa", model)
    whole = measure_alignment(method, lambda: mse(model, data)).weights
    halves = [(data[0][rows], data[1][rows]) for rows in (slice(0, 4), slice(4, 8))]
    chunked = measure_alignment(method, lambda: sum(mse(model, half) for half in halves) / 2).weights
    for name, weights in whole.items():
        assert chunked[name].cosine == pytest.approx(weights.cosine, abs=1e-5)
        torch.testing.assert_close(chunked[name].rows, weights.rows, rtol=1e-4, atol=1e-5)
