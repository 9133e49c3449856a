"""Methods with weights of their own on the way back, where a parameter is a layer's input: latents, queries, h_0."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackPoint, make_method
from tests.helpers.engine_nets import assert_same, gradients

METHODS = ["fa", "sign_symmetry", "kolen_pollack"]
CLOSE = {"rtol": 1e-12, "atol": 1e-14}
X = torch.linspace(-1, 1, 30, dtype=torch.float64).sin().reshape(6, 5)


class Latents(nn.Module):
    """A layer fed by a parameter, through views or functions of its entries."""

    def __init__(self, prepare=lambda latents: latents, frozen: bool = False) -> None:
        super().__init__()
        self.latents, self.layer, self.tap = nn.Parameter(torch.randn(5, 4)), nn.Linear(4, 3), ErrorTap(3)
        self.latents.requires_grad_(not frozen)
        self.prepare = prepare

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.layer(self.prepare(self.latents)).flatten(0, -2))


class LearnedState(nn.Module):
    """A recurrent cell that starts in a learned state."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.h0, self.tap = cell, nn.Parameter(torch.randn(1, 4)), ErrorTap(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.cell(x, self.h0.expand(len(x), -1)))


class FixedNodes(nn.Module):
    """Node features in a frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Parameter(torch.randn(6, 5), requires_grad=False)
        self.layer, self.tap = nn.Linear(5, 3), ErrorTap(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(torch.softmax(x @ x.T, 1) @ self.layer(self.features))


def gradients_of(name: str, make, x: Tensor = X) -> dict[str, Tensor | None]:
    torch.manual_seed(0)
    model = make().double()
    make_method(name, model).double().step(lambda: model(x).square().mean())
    return gradients(model)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "make",
    [
        Latents,
        lambda: Latents(frozen=True),
        lambda: Latents(lambda latents: latents.unsqueeze(0).expand(7, -1, -1)),
        lambda: Latents(lambda latents: torch.tanh(2 * latents)),
        lambda: Latents(lambda latents: latents.repeat(3, 1)),
        lambda: LearnedState(nn.GRUCell(5, 4)),
        lambda: LearnedState(nn.RNNCell(5, 4)),
        FixedNodes,
    ],
    ids=["latents", "frozen", "expanded", "computed", "repeated", "gru", "rnn", "nodes"],
)
def test_a_layer_fed_by_a_parameter_gets_its_own_true_gradient(name, make):
    """dW = δᵀ x, with x the parameter: without it the gradient would be of an input that the layer never had."""
    assert_same(gradients_of(name, make), gradients_of("bp", make), **CLOSE)


def test_latents_in_half_precision_keep_their_copies():
    """Autocast's copies are recognised as the parameters that they are copies of."""
    found = []
    for name in ("fa", "bp"):
        torch.manual_seed(0)
        model = Latents()
        with torch.autocast("cpu", torch.bfloat16):
            make_method(name, model).step(lambda model=model: model(X).float().square().mean())
        found.append(gradients(model))
    assert_same(*found)


class Perceiver(nn.Module):
    """Learned queries read tokens: queries' layer sees a parameter, all others see activations."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.point = nn.Linear(5, 8), FeedbackPoint(8)
        self.latents, self.q, self.k, self.v = nn.Parameter(torch.randn(4, 8)), *(nn.Linear(8, 8) for _ in range(3))
        self.out, self.tap = nn.Linear(8, 3), ErrorTap(3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.point(torch.tanh(self.tokens(x)))
        read = F.softmax(self.q(self.latents) @ self.k(h).T, -1) @ self.v(h)
        return self.tap(self.out(torch.cat([self.latents, read])))


@pytest.mark.parametrize("name", METHODS)
def test_learned_queries_are_no_weights(name):
    """The gradient of the keys reads q(latents), an activation; that of q's weight reads the latents."""
    torch.manual_seed(0)
    model = Perceiver().double()
    method = make_method(name, model).double()
    taken = {}
    model.q.register_forward_hook(lambda module, inputs, output: taken.update(q=output) or output.retain_grad())
    method.step(lambda: model(X).square().mean())
    assert method.replaced == {"k.weight", "v.weight", "out.weight"}
    torch.testing.assert_close(model.q.weight.grad, taken["q"].grad.T @ model.latents.detach(), rtol=1e-9, atol=1e-12)


def test_data_that_ask_for_a_gradient_are_an_activation():
    """Their gradient goes through the backward weight, as that of any input does."""
    model = nn.Sequential(nn.Linear(5, 3), ErrorTap(3)).double()
    method, x = make_method("fa", model), X.clone().requires_grad_()
    method.step(lambda: model(x).sum())
    assert method.replaced == {"0.weight"}
    random = method.random_weight("0.weight", model[0].weight.detach())
    torch.testing.assert_close(x.grad, torch.ones(6, 3, dtype=torch.float64) @ random)
