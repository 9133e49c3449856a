"""The alignment probe against gradients computed separately."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from dfa_core import FeedbackError, make_method, measure_alignment
from dfa_core.measuring.cosines import cosine, row_cosines
from tests.helpers.engine_nets import WithHead, batch, build, gradients, mse


def _separately(name, model, data, **options):
    method = make_method(name, model, **options)
    model.zero_grad()
    torch.manual_seed(5)  # the dropout mask
    method.backward(mse(model, data))
    found = gradients(model)
    model.zero_grad()
    return found


@pytest.mark.parametrize("head", [False, True], ids=["plain", "head above the tap"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_agrees_per_parameter_with_separate_runs(head, dropout):
    """Without it the probe could use two forward passes (two dropout masks) or lose a segment of the chain."""
    model, data = (WithHead() if head else build(5, 7, 6, 4, 3)), batch(16, 5, 3)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    bp, dfa = (_separately(name, model, data) for name in ("bp", "dfa"))
    method = make_method("dfa", model)
    torch.manual_seed(5)
    found = measure_alignment(method, lambda: mse(model, data))
    assert found.parameters.keys() == bp.keys()
    for name, value in found.parameters.items():
        expected = cosine_similarity(bp[name].flatten(), dfa[name].flatten(), dim=0)
        assert value == pytest.approx(expected.item(), abs=1e-5), name


def test_agrees_per_point_and_sample_with_autograd():
    """Without it the angle could be taken to another point's gradient, or averaged before the cosine."""
    model, data = build(5, 7, 6, 3), batch(16, 5, 3)
    make_method("bp", model)
    hidden = []
    hooks = [point.register_forward_hook(lambda _m, _i, out: hidden.append(out)) for point in model.points]
    output = model(data[0])
    for hook in hooks:
        hook.remove()
    true = torch.autograd.grad((output - data[1]).square().mean(), hidden)
    error = 2 * (output - data[1]).detach() / output.numel()

    method = make_method("dfa", model)
    found = measure_alignment(method, lambda: mse(model, data))
    assert list(found.points) == ["points.0", "points.1"]
    for (name, cosines), gradient in zip(found.points.items(), true, strict=True):
        expected = cosine_similarity(gradient, error @ method.matrix(name), dim=1)
        torch.testing.assert_close(cosines, expected, rtol=1e-4, atol=1e-5)
    assert found.deepest is found.points["points.0"]
    assert found.quantiles("points.0", (0.5,)) == [found.deepest.quantile(0.5).item()]


def test_true_maps_have_cosine_one():
    """Without it a sign or a normalisation could be wrong and alignment merely look low."""
    model, data = build(5, 7, 6, 3, act=lambda a: a), batch(16, 5, 3)
    method = make_method("dfa", model, feedback="uniform")
    with torch.no_grad():
        method.matrix("points.1").copy_(model.layers[2].weight)
        method.matrix("points.0").copy_(model.layers[2].weight @ model.layers[1].weight)
    found = measure_alignment(method, lambda: mse(model, data))
    for cosines in found.points.values():
        torch.testing.assert_close(cosines, torch.ones(16))
    assert all(value == pytest.approx(1, abs=1e-5) for value in found.parameters.values())


def test_the_true_gradient_passes_from_one_network_into_the_next():
    """Without it a fine network fed by a coarse one would hand back nothing: the cosine would be of a part."""

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.coarse, self.fine = build(5, 7, 4, seed=1), build(4, 6, 3, seed=2)

        def forward(self, x):
            coarse = self.coarse(x)
            return self.fine(coarse) + coarse[:, :3]

    model, data = Chain(), batch(8, 5, 3)
    bp, dfa = (_separately(name, model, data) for name in ("bp", "dfa"))
    found = measure_alignment(make_method("dfa", model), lambda: mse(model, data))
    for name, value in found.parameters.items():
        expected = cosine_similarity(bp[name].flatten(), dfa[name].flatten(), dim=0)
        assert value == pytest.approx(expected.item(), abs=1e-5), name


def test_several_passes_are_joined():
    """Without it only the last chunk would be measured."""
    model, data = build(5, 7, 3), batch(8, 5, 3)
    method = make_method("dfa", model)
    whole = measure_alignment(method, lambda: mse(model, data))
    halves = [(data[0][rows], data[1][rows]) for rows in (slice(0, 4), slice(4, 8))]
    chunked = measure_alignment(method, lambda: sum(mse(model, half) for half in halves) / 2)
    torch.testing.assert_close(chunked.deepest, whole.deepest, rtol=1e-4, atol=1e-5)
    assert chunked.parameters == pytest.approx(whole.parameters, abs=1e-5)


def test_leaves_no_trace():
    """Without it a measurement would change training: gradients, hooks, or a method that is detached."""
    torch.manual_seed(0)
    model, data = WithHead(), batch(8, 5, 3)
    method = make_method("dfa", model)
    method.backward(mse(model, data))
    before = gradients(model)
    fired = []
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(lambda _: fired.append(True))
    measure_alignment(method, lambda: mse(model, data))

    def failing():
        mse(model, data)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure_alignment(method, failing)
    assert not fired
    after = gradients(model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    model.zero_grad()
    method.backward(mse(model, data))
    after = gradients(model)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_samples_without_an_angle_are_left_out():
    """Without it a dead sample would count as orthogonal, or turn the mean into NaN."""
    model, (x, y) = build(5, 7, 3), batch(8, 5, 3)
    method = make_method("dfa", model)
    found = measure_alignment(method, lambda: (model(x) - y)[:5].square().mean())
    assert found.deepest.shape == (5,)


@pytest.mark.parametrize("size", [1e-25, 1e-22, 1.0, 1e22])
def test_small_and_large_gradients_have_the_angles_of_ordinary_ones(size):
    """Without it squares that vanish in fp32 would give cosines beyond one, and records that nobody can read."""
    a, b = torch.randn(40, 7), torch.randn(40, 7)
    a[:, 1:] *= 1e-3  # rows with entries of several sizes
    expected = cosine_similarity(a.double(), b.double()).float()
    torch.testing.assert_close(row_cosines(size * a, size * b, 7), expected, rtol=1e-4, atol=1e-5)
    assert cosine(size * a, size * b) == pytest.approx(cosine(a, b), rel=1e-5)
    assert row_cosines(a, a / 3, 7).max() <= 1


def test_methods_without_signals_are_refused():
    """Without it shallow would report an empty table, and a detached method someone else's cuts."""
    model, data = build(5, 7, 3), batch(8, 5, 3)
    old = make_method("dfa", model)
    with pytest.raises(FeedbackError, match="sends no signals"):
        measure_alignment(make_method("shallow", model), lambda: mse(model, data))
    with pytest.raises(FeedbackError, match="not attached to its model"):
        measure_alignment(old, lambda: mse(model, data))
    with pytest.raises(FeedbackError, match="no alignment to measure"):
        measure_alignment(make_method("bp", model), lambda: mse(model, data))
