"""Methods of several forward passes, in fp64."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method
from dfa_core.methods.predictive_coding import _Inferred
from dfa_core.recording.passes import Visited
from tests.engine.methods.nets import (
    classification,
    closure_of,
    gradients_by,
    net,
    step,
    take_step,
)
from tests.helpers.engine_nets import assert_same, gradients

DATA = classification()
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def flat(found):
    return torch.cat([g.flatten() for g in found.values() if g is not None])


def cosine(a, b):
    return float(torch.cosine_similarity(flat(a), flat(b), dim=0))


@pytest.mark.parametrize("guess", ["noise", "local"])
def test_forward_gradients_are_unbiased_along_their_guess(guess):
    """The mean over K steps nears backprop as 1/√K (noise); without it a sign or a group could be wrong."""
    model = net()
    method = make_method("forward_gradient", model, guess=guess, epsilon=1e-6).double()
    method.needs = frozenset({"replay", "heads"})
    total, steps = torch.zeros(()), 300
    for _ in range(steps):
        take_step(method, model, DATA)
        total = total + flat(gradients(model)) / steps
    truth = flat(gradients_by("bp", DATA))
    if guess == "noise":
        assert torch.cosine_similarity(total, truth, dim=0) > 0.9
        assert total.norm() / truth.norm() == pytest.approx(1, abs=0.3)
    else:  # a projection on the guess: never away from backprop
        assert torch.cosine_similarity(total, truth, dim=0) > 0.1


def test_the_difference_of_two_passes_is_the_directional_derivative():
    """⟨e, d⟩ against forward-mode differentiation."""
    model = net()
    method = make_method("forward_gradient", model, epsilon=1e-6).double()
    take_step(method, model, DATA)
    method.noise.step -= 1  # the step that was taken
    widths = {n: point.width for n, point in method.layout.points.items()}
    noise = {n: method.noise.normal_like(f"0/{n}", DATA[0].new_empty(9, width)) for n, width in widths.items()}
    x, y = DATA

    def top(a, b):
        h1 = torch.tanh(model.layers[0](x)) + a
        h2 = torch.tanh(model.layers[1](h1)) + b
        return model.layers[2](h2)

    with method.detached():
        zeros = tuple(torch.zeros_like(v) for v in noise.values())
        scores, change = torch.func.jvp(top, zeros, tuple(noise.values()))
    e = (scores.softmax(1) - F.one_hot(y, 4)) / 9
    slope = (e * change).sum(1, keepdim=True)
    signal = slope * noise["points.0"] * (1 - torch.tanh(model.layers[0](x)) ** 2)
    torch.testing.assert_close(model.layers[0].bias.grad, signal.sum(0).detach(), rtol=1e-5, atol=1e-7)


def test_samples_that_depend_on_each_other_share_one_slope():
    """independent_dims=0: the slope is summed over the whole batch; without it estimates of graphs would be biased."""
    model = net()
    model.tap = ErrorTap(4, independent_dims=0)
    method = make_method("forward_gradient", model).double()
    seen = []
    signals_of = method.signals_of
    method.signals_of = lambda passes: seen.extend(signals_of(passes)) or seen
    take_step(method, model, DATA)
    method.noise.step -= 1
    noise = method.noise.normal_like("0/points.0", torch.empty(9, 7, dtype=torch.float64))
    slopes = seen[0]["points.0"] / noise
    assert slopes.std() < 1e-9 * slopes.abs().mean()


def test_mezo_is_the_slope_along_its_direction():
    """g = ⟨∇L, z⟩ z as ε → 0, and the weights are what they were to the last bit."""
    model = net()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    method = step("mezo", model, DATA, epsilon=1e-6)
    method.noise.step -= 1  # the step that was taken
    found, truth = gradients(model), gradients_by("bp", DATA)
    z = {name: method.noise.normal_like(name, p) for name, p in before.items()}
    slope = sum((truth[name] * z[name]).sum() for name in z)
    assert_same(found, {name: slope * z[name] for name in z}, rtol=1e-6, atol=1e-8)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    method.advance()
    assert not torch.equal(method.noise.normal_like("layers.0.bias", before["layers.0.bias"]), z["layers.0.bias"])


def test_mezo_puts_the_weights_back_when_the_closure_fails():
    """Without it an interrupted step would leave a model that was never trained."""
    model = net()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ZeroDivisionError):
        make_method("mezo", model).step(lambda: 1 / 0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_pepita_without_modulation_moves_the_output_layer_alone():
    """F = 0: both passes are one."""
    found, truth = gradients_by("pepita", DATA, scale=0.0), gradients_by("bp", DATA)
    for name, gradient in found.items():
        if name.startswith("layers.2"):
            torch.testing.assert_close(gradient, truth[name])
        else:
            assert not gradient.any()


def test_pepita_compares_the_passes():
    """δ_1 = F e and δ_2 = h_2 − h_2', which is J F e for a small F; the second pass is where weights learn."""
    model = net()
    method = step("pepita", model, DATA, scale=1e-5)
    x, y = DATA
    h1 = torch.tanh(model.layers[0](x)).detach()
    h2 = torch.tanh(model.layers[1](h1)).detach()
    e = (model.layers[2](h2).softmax(1) - F.one_hot(y, 4)).detach()  # of one sample's loss
    shift = e @ method._matrix("points.0", e)
    torch.testing.assert_close(model.layers[0].bias.grad, (shift * (1 - h1**2)).sum(0) / 9, **CLOSE)
    second = torch.tanh(model.layers[1](h1 - shift)).detach()
    expected = ((h2 - second) * (1 - second**2)).T @ (h1 - shift) / 9
    torch.testing.assert_close(model.layers[1].weight.grad, expected, **CLOSE)
    linear = ((1 - h2**2) * (shift @ model.layers[1].weight.T)).detach()
    torch.testing.assert_close(h2 - second, linear, rtol=1e-2, atol=1e-9)


def test_pepitas_output_layer_learns_from_the_first_passs_error():
    """e h'ᵀ: the error before the modulation, the activation after it."""
    model = net()
    method = step("pepita", model, DATA, scale=0.5)
    x, y = DATA
    h1 = torch.tanh(model.layers[0](x)).detach()
    e = (model.layers[2](torch.tanh(model.layers[1](h1))).softmax(1) - F.one_hot(y, 4)).detach()
    second = torch.tanh(model.layers[1](h1 - e @ method._matrix("points.0", e))).detach()
    torch.testing.assert_close(model.layers[2].weight.grad, e.T @ second / 9, **CLOSE)


def test_pepita_needs_something_to_compare():
    with pytest.raises(FeedbackError, match="no second feedback point"):
        make_method("pepita", net(5, 7, 4))


def test_predictive_coding_of_one_full_step_is_backprop():
    """From ε = 0 the first step gives ε_i = −dL/dh_i."""
    found = gradients_by("predictive_coding", DATA, steps=1, rate=1.0, states="feedforward")
    assert_same(found, gradients_by("bp", DATA), **CLOSE)


def test_predictive_coding_arrives_at_its_equilibrium():
    """There ε_i = −dL/dh_i at the inferred states, and the local gradients are those of the whole energy."""
    model = net()
    with torch.no_grad():
        for p in model.parameters():
            p *= 0.5
    step("predictive_coding", model, DATA, steps=200, rate=0.3)
    found = gradients(model)
    more = net()
    with torch.no_grad():
        for p in more.parameters():
            p *= 0.5
    step("predictive_coding", more, DATA, steps=210, rate=0.3)
    assert_same(found, gradients(more), rtol=1e-7, atol=1e-10)
    # The energy's own gradient, by autograd through the states that were inferred.
    method = make_method("predictive_coding", more, steps=200, rate=0.3)
    inferred = _Inferred()
    with method.in_step(closure_of(more, DATA), None):
        for _ in range(200):
            method._infer(inferred)
    shift = [inferred.errors[Visited("tap", 0, f"points.{i}")].requires_grad_() for i in (0, 1)]
    h1 = torch.tanh(more.layers[0](DATA[0])) + shift[0]
    h2 = torch.tanh(more.layers[1](h1)) + shift[1]
    loss = F.cross_entropy(more.layers[2](h2), DATA[1], reduction="sum")
    for shifted, gradient in zip(shift, torch.autograd.grad(loss, shift), strict=True):
        torch.testing.assert_close(shifted, -gradient, rtol=1e-6, atol=1e-8)


def test_inferred_states_are_where_weights_learn():
    """Without it the published rule would be the other one."""
    inferred = gradients_by("predictive_coding", DATA, steps=1, rate=1.0)
    assert 0.8 < cosine(inferred, gradients_by("bp", DATA)) < 1 - 1e-6


def test_recomputing_is_backprop_bit_for_bit():
    """Dropout masks are drawn again as they were, and running statistics move once."""

    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block() for _ in range(3))
            self.last = nn.Linear(5, 4)
            self.tap = ErrorTap(4)

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.tap(self.last(x))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm, self.drop = nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Dropout(0.4)
            self.point = FeedbackPoint(5)

        def forward(self, x):
            runs.append(self)
            return self.point(self.drop(torch.relu(self.norm(self.linear(x)))))

    found, runs = [], []
    for name in ("bp", "bp_recompute"):
        torch.manual_seed(0)
        model = Blocks().double()
        runs.clear()
        step(name, model, DATA)
        found.append((gradients(model), [b.clone() for b in model.buffers()], len(runs)))
    assert_same(found[0][0], found[1][0])
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))
    assert (found[0][2], found[1][2]) == (3, 6)
    with pytest.raises(FeedbackError, match="no submodule holds feedback points"):
        make_method("bp_recompute", net())


@pytest.mark.parametrize("name", ["forward_gradient", "directional", "mezo", "pepita", "predictive_coding"])
def test_all_passes_of_a_step_draw_the_same_masks(name):
    """Without it the difference between two passes would be that of their dropout masks."""
    masks = []

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net(5, 7, 7, 4)

        def forward(self, x):
            masks.append(torch.rand(3))
            return self.inner(x)

    model = Masked()
    torch.manual_seed(3)
    expected = torch.rand(3)
    following = torch.rand(1)
    torch.manual_seed(3)
    step(name, model, DATA)
    assert len(masks) >= 2 and all(torch.equal(mask, expected) for mask in masks)
    assert torch.equal(torch.rand(1), following)  # and the next step draws new ones


def test_running_statistics_move_once_a_step():
    """A pass that only compares must not teach batch norm."""

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(5)
            self.inner = net(5, 7, 6, 4)

        def forward(self, x):
            return self.inner(self.norm(x))

    for name in ("bp", "forward_gradient", "mezo", "pepita", "predictive_coding"):
        model = Normed().double()
        step(name, model, DATA)
        assert model.norm.num_batches_tracked == 1
        torch.testing.assert_close(model.norm.running_mean, 0.1 * DATA[0].mean(0))
