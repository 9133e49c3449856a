"""The true network: what reads input gradients or uses torch.func must see it, or be told how to."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap

from dfa_core import FeedbackError, make_method
from tests.helpers.engine_nets import assert_same, batch, build, gradients, mse

METHODS = ["dfa", "shallow", "bp"]


@pytest.mark.parametrize("name", METHODS)
def test_gradients_pass_through_a_detached_model(name):
    """Without it saliency maps and gradient penalties would be of a network cut into pieces, or zero."""
    plain, model, (x, y) = build(5, 7, 6, 3), build(5, 7, 6, 3), batch(9, 5, 3)
    make_method("bp", plain)
    method = make_method(name, model)
    x.requires_grad_()
    (expected,) = torch.autograd.grad(plain(x).square().sum(), x)
    with method.detached():
        (found,) = torch.autograd.grad(model(x).square().sum(), x)
        assert torch.equal(found, expected)
        mse(model, (x.detach(), y)).backward()
    mse(plain, (x.detach(), y)).backward()
    assert_same(gradients(model), gradients(plain))
    model.zero_grad()
    method.backward(mse(model, (x.detach(), y)))  # attached as before
    assert (gradients(model)["layers.0.weight"] is None) == (name == "shallow")
    method.detach()
    model.zero_grad()
    mse(model, (x.detach(), y)).backward()
    assert_same(gradients(model), gradients(plain))


def test_an_error_within_leaves_the_method_attached():
    """Without it one failed saliency map would turn the rest of the training into backprop."""
    model, data = build(5, 7, 3), batch(9, 5, 3)
    method = make_method("shallow", model)
    with pytest.raises(ZeroDivisionError), method.detached():
        1 / 0  # noqa: B018
    method.backward(mse(model, data))
    assert gradients(model)["layers.0.weight"] is None


def test_a_gradient_penalty_beside_feedback():
    """Without it a penalty on the true input gradient could not stand in the loss of a feedback method."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    method = make_method("dfa", model)

    def penalty() -> torch.Tensor:
        x = data[0].clone().requires_grad_()
        with method.detached():
            (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        return slope.square().mean()

    method.backward(mse(model, data))
    alone = gradients(model)
    model.zero_grad()
    with method.detached():
        penalty().backward()
    true = gradients(model)
    model.zero_grad()
    method.backward(mse(model, data) + penalty())
    both = {name: g if true[name] is None else g + true[name] for name, g in alone.items()}
    assert_same(gradients(model), both, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["dfa", "shallow"])
def test_functional_transforms_are_refused_or_exact(name):
    """Without it jvp would answer zero, and grad in PyTorch's words on requires_grad_."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    method = make_method(name, model)
    parameters = dict(model.named_parameters())
    tangent = torch.ones_like(data[0])

    def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
        return (functional_call(model, values, (data[0],)) - data[1]).square().mean()

    def dual() -> torch.Tensor:
        with forward_ad.dual_level():
            return forward_ad.unpack_dual(model(forward_ad.make_dual(data[0], tangent))).tangent

    for use in (
        lambda: grad(loss)(parameters),
        lambda: jvp(model, (data[0],), (tangent,)),
        lambda: vmap(model)(data[0].unsqueeze(1)),
        dual,
    ):
        with pytest.raises(FeedbackError, match=r"torch.func or forward-mode.*within method.detached\(\)"):
            use()
    with method.detached():
        found = grad(loss)(parameters)
        _, slope = jvp(model, (data[0],), (tangent,))
        assert torch.equal(dual(), slope) and slope.any()
        mse(model, data).backward()
    assert_same(found, gradients(model), rtol=1e-5, atol=1e-7)
    with torch.no_grad():
        vmap(model)(data[0].unsqueeze(1))
