"""Losses that read more than the tap's output: outputs that go round it, activations below it."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method
from tests.helpers.engine_nets import Net, WithHead, assert_same, batch, build, gradients, mse
from tests.helpers.engine_oracle import expected

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class VAE(nn.Module):
    """Mean and log-variance are read by a KL term, behind one point and before the others."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.p = nn.Linear(5, 7), nn.Linear(7, 4)
        self.q = nn.Linear(7, 2)
        self.decode, self.out = nn.Linear(2, 6), nn.Linear(6, 5)
        self.points = nn.ModuleList([FeedbackPoint(7), FeedbackPoint(2), FeedbackPoint(6)])
        self.tap = ErrorTap(5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.points[0](torch.tanh(self.encode(x)))
        mean, log_variance = self.p(h).chunk(2, dim=1)
        z = self.points[1](mean + log_variance.exp() * 0.3)
        extra = self.q(h)  # goes round the tap altogether
        return self.tap(self.out(self.points[2](torch.tanh(self.decode(z))))), mean * log_variance, extra


def vae_loss(model: nn.Module, x: Tensor) -> Tensor:
    output, kl, extra = model(x)
    return (output - x).square().mean() + 0.7 * kl.square().sum() + extra.sin().mean()


@pytest.mark.parametrize(
    ("name", "backend"),
    [*product(("dfa", "shallow"), ("eager mode", "aot_eager")), ("dfa", "inductor")],  # C++ for one of them: seconds
)
def test_auxiliary_outputs_get_their_true_gradient(name, backend):
    """Without it a VAE's KL term would reach no parameter once the model is compiled, and no step would say so."""
    torch.manual_seed(0)
    model, (x, _) = VAE(), batch(9, 5, 3)
    method = make_method(name, model)
    oracle = expected(model, method, lambda: vae_loss(model, x))
    run = model if backend == "eager mode" else torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(2):
        model.zero_grad()
        method.backward(vae_loss(run, x))
        found = gradients(model)
        if name == "shallow":  # a compiled region answers with zeros where eager mode leaves no gradient
            oracle = (
                {k: found[k] if g is None and not found[k].any() else g for k, g in oracle.items()}
                if (backend != "eager mode")
                else oracle
            )
        assert_same(found, oracle, **CLOSE)


@pytest.mark.parametrize("name", ["dfa", "shallow"])
def test_a_term_on_an_activation_below_the_tap(name):
    """Without it a penalty on an activation would end in "backward through the graph a second time"."""
    model, data = build(5, 7, 6, 4, 3), batch(9, 5, 3)
    method = make_method(name, model)

    def closure() -> Tensor:
        seen: list[Tensor] = []
        hooks = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out)) for layer in model.layers]
        loss = mse(model, data)
        for hook in hooks:
            hook.remove()
        return loss + sum(((k + 1) * h.pow(4).mean() for k, h in enumerate(seen)), torch.zeros(()))

    oracle = expected(model, method, closure)
    for _ in range(2):
        model.zero_grad()
        method.backward(closure())
        assert_same(gradients(model), oracle, **CLOSE)
    method.backward(mse(model, data))  # a step without the terms is as before


def test_a_head_and_an_activation_below():
    """Without it the head above the tap would be trained twice, or its graph freed too early."""

    class Penalised(WithHead):
        def forward(self, x: Tensor) -> Tensor:
            h = self.body.layers[0](x)
            return super().forward(x).square().sum() + h.square().sum()

    torch.manual_seed(0)
    model, (x, _) = Penalised(), batch(9, 5, 3)
    method = make_method("dfa", model)
    oracle = expected(model, method, lambda: model(x))
    method.backward(model(x))
    assert_same(gradients(model), oracle, **CLOSE)


def test_hooks_of_parameters_see_one_gradient():
    """Without it a hook that clips or scales a gradient would run twice in one step."""
    torch.manual_seed(0)
    model, (x, _) = VAE(), batch(9, 5, 3)
    calls = {name: 0 for name, _ in model.named_parameters()}

    def count(name: str) -> None:
        calls[name] += 1

    for name, p in model.named_parameters():
        p.register_hook(lambda g, name=name: count(name))
    make_method("dfa", model).backward(vae_loss(model, x))
    assert set(calls.values()) == {1}, calls


def test_a_weight_used_above_and_below_the_tap():
    """Without it tied weights would get one of their two gradients."""
    torch.manual_seed(0)
    model, (x, _) = Net(5, 7, 6, 5), batch(9, 5, 3)
    method = make_method("dfa", model)

    def closure() -> Tensor:
        return (model(x) @ model.layers[0].weight.T).square().mean()

    oracle = expected(model, method, closure)
    method.backward(closure())
    assert_same(gradients(model), oracle, **CLOSE)


@pytest.mark.parametrize("hooked", [False, True])
def test_a_compiled_body_with_a_head_in_eager_mode_or_compiled(hooked):
    """Without it the head would lose its gradient, or its compiled graph would be asked to run twice."""
    torch.manual_seed(0)
    data, model = batch(9, 5, 3), WithHead()
    if hooked:
        model.head.weight.register_hook(lambda g: 2 * g)
    method = make_method("dfa", model)
    oracle = expected(model, method, lambda: mse(model, data))
    model.body = torch.compile(model.body, backend="aot_eager", fullgraph=True)
    if not hooked:
        model.head = torch.compile(model.head, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        model.zero_grad()
        method.backward(mse(model, data))
        found = {name.replace("_orig_mod.", ""): g for name, g in gradients(model).items()}
        assert_same(found, oracle, **CLOSE)


def test_layers_above_the_tap_inside_a_region_with_other_outputs():
    """Without it the error would lack what comes through those layers: feedback from a part of the loss."""

    class Both(Net):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            output = super().forward(x)
            return output, output.square().sum(1)

    torch.manual_seed(0)
    model, (x, y) = Both(5, 7, 6, 3), batch(9, 5, 3)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    method = make_method("dfa", compiled)
    output, above = compiled(x)
    with pytest.raises(FeedbackError, match="compile the layers above a tap apart"):
        method.backward((output - y).square().mean() + above.mean())
    output, above = model(x)  # in eager mode the tap is cut, and all of it arrives
    method.backward((output - y).square().mean() + above.mean())
