"""The nets of the studies: against the engine, against autograd, and the recursion of linear ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.studies.theory.alignment_matrices import linear_net
from benchmarks.studies.theory.nets import Net, correlated_targets
from dfa_core import ErrorTap, FeedbackPoint, make_method

WIDTHS = (6, 9, 8, 3)
MODULES = {"linear": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh}


def pair(activation: str) -> tuple[Net, nn.Sequential]:
    """A net of ours and the same one in PyTorch, with marks."""
    net = Net(WIDTHS, activation, np.random.default_rng(0), np.random.default_rng(1))
    net.weights = [np.random.default_rng(2).normal(size=w.shape) / 3 for w in net.weights]
    layers: list[nn.Module] = []
    for number, weight in enumerate(net.weights):
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
        linear.weight.data = torch.from_numpy(weight.copy())
        last = number == len(net.weights) - 1
        layers += [linear] if last else [linear, MODULES[activation](), FeedbackPoint(weight.shape[0])]
    return net, nn.Sequential(*layers, ErrorTap(WIDTHS[-1]))


@pytest.mark.parametrize("activation", MODULES)
def test_a_step_is_that_of_the_engine(activation):
    """The suite's own method, with the same matrices; else a study would be about something else."""
    net, model = pair(activation)
    method = make_method("dfa", model, feedback="uniform").double()
    for point, f in zip(method.layout.points, net.feedback, strict=True):
        method.matrix(point).copy_(torch.from_numpy(f.T))
    x, y = (np.random.default_rng(seed).normal(size=(5, n)) for seed, n in ((3, 6), (4, 3)))
    method.step(lambda: (model(torch.from_numpy(x)) - torch.from_numpy(y)).square().sum())
    before = [w.copy() for w in net.weights]
    net.step(x, y, lr=0.01)
    linears = [module for module in model if isinstance(module, nn.Linear)]
    for old, new, linear in zip(before, net.weights, linears, strict=True):
        np.testing.assert_allclose(old - new, 0.01 * linear.weight.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", MODULES)
def test_gradients_are_autograds(activation):
    net, model = pair(activation)
    x, y = (np.random.default_rng(seed).normal(size=(5, n)) for seed, n in ((3, 6), (4, 3)))
    _, before = net.forward(x)
    found = net.gradients(before, 2 * (before[-1] - y))
    seen: list[torch.Tensor] = []
    for module in model:
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda m, i, out: seen.append(out))
    loss = (model(torch.from_numpy(x)) - torch.from_numpy(y)).square().sum()
    for ours, theirs in zip(found, torch.autograd.grad(loss, seen), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-12)


def test_alignment_with_the_true_feedback_is_one():
    """F_l = (W_L … W_{l+1})ᵀ in a linear net, where signals are the gradients; weights along F F^T have cosine 1."""
    net, _ = pair("linear")
    net.feedback = [(net.weights[2] @ net.weights[1]).T, net.weights[2].T]
    rng = np.random.default_rng(5)
    assert net.gradient_alignment(rng.normal(size=(7, 6)), rng.normal(size=(7, 3))) == pytest.approx(1)
    low, high = (f * len(f) ** 0.5 for f in net.feedback)  # as drawn
    net.weights[1:] = [2 * high @ low.T, 2 * high.T]
    assert net.weight_alignment() == pytest.approx(1)


@pytest.mark.parametrize("layers", [2, 3, 4, 5])
def test_a_linear_net_keeps_the_form_of_its_recursion(layers):
    found = linear_net(0.6, 0.4, dims=6, width=20, layers=layers, lr=1e-4, epochs=5, seed=0)
    assert found["error"] < 1e-10 and len(found["conditions"]) == layers - 1


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 1.0), (1.0, 0.2), (0.5, 0.5)])
def test_targets_have_the_covariance_that_was_asked_for(alpha, beta):
    y = correlated_targets(200_000, alpha, beta, np.random.default_rng(0))
    expected = np.array([[1, alpha * (1 - beta)], [alpha * (1 - beta), alpha**2]])
    np.testing.assert_allclose(np.cov(y.T), expected, atol=0.01)


def test_the_total_weight_alignment_is_of_the_feedback_as_drawn():
    """Entries of U(−1, 1), before the projection divides them by the root of the width."""
    net, _ = pair("relu")
    widths = (9, 8)
    low, high = (f * width**0.5 for f, width in zip(net.feedback, widths, strict=True))
    assert max(np.abs(low).max(), np.abs(high).max()) <= 1 < 1.2 * max(np.abs(low).max(), np.abs(high).max())
    wanted = np.concatenate([(high @ low.T).ravel(), high.T.ravel()])
    weights = np.concatenate([w.ravel() for w in net.weights[1:]])
    expected = wanted @ weights / np.linalg.norm(wanted) / np.linalg.norm(weights)
    assert net.weight_alignment() == pytest.approx(expected)
