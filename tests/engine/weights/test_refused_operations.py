"""Methods with weights of their own on the way back: operations and changes in place that they cannot follow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, derived_weight, make_method
from dfa_core.methods.fa import FeedbackAlignment
from tests.helpers.engine_nets import assert_same, gradients

X, Y = torch.linspace(-1, 1, 30, dtype=torch.float64).sin().reshape(6, 5), torch.arange(6) % 3
METHODS = ["fa", "sign_symmetry", "kolen_pollack"]


class Own(torch.autograd.Function):
    """h / W of a user's own."""

    @staticmethod
    def forward(ctx, h, weight):
        ctx.save_for_backward(h, weight)
        return h / weight

    @staticmethod
    def backward(ctx, gradient):
        h, weight = ctx.saved_tensors
        return gradient / weight, -gradient * h / weight**2


NOT_LINEAR = {
    "Cdist": lambda h, w: -torch.cdist(h, w[:3]),
    "Div": lambda h, w: h[:, :3] / w[:1, :3],
    "Maximum": lambda h, w: torch.maximum(h[:, :3], w[:1, :3]),
    "Pow": lambda h, w: h[:, :3].exp() ** w[:1, :3],
    "Atan2": lambda h, w: torch.atan2(h[:, :3], w[:1, :3]),
    "Lerp": lambda h, w: torch.lerp(h[:, :3], h[:, 1:], w[:1, :3]),
    "Logaddexp": lambda h, w: torch.logaddexp(h[:, :3], w[:1, :3]),
    "ScaledDotProductFlashAttentionForCpu": lambda h, w: F.scaled_dot_product_attention(
        h[None, None], w[None, None], w[None, None]
    )[0, 0, :, :3],
}
LINEAR = {
    "matmul": lambda h, w: h @ w[:, :3],
    "multiplied": lambda h, w: h[:, :3] * w[:1, :3],
    "divided by an activation": lambda h, w: w[:1, :3] / h[:, :3].exp(),
    "einsum": lambda h, w: torch.einsum("ni,oi->no", h, w[:3]),
    "convolution": lambda h, w: F.conv1d(h.unsqueeze(1), w[:3].unsqueeze(1)).squeeze(2),
    "transposed convolution": lambda h, w: F.conv_transpose1d(h.unsqueeze(2), w.unsqueeze(2)).squeeze(2)[:, :3],
    "bilinear": lambda h, w: F.bilinear(h, h, w.expand(3, 4, 4).contiguous().detach()) + h @ w[:, :3],
    "layer norm": lambda h, w: F.layer_norm(h.view(6, 2, 2), (2, 2), w[:2, :2], w[2:, 2:]).flatten(1)[:, :3],
    "grid": lambda h, w: torch.outer(
        F.grid_sample(w[None, None], h[:, :2].view(1, 6, 1, 2), align_corners=True).flatten(),
        torch.arange(3.0).double(),
    ),
    "a user's own": lambda h, w: Own.apply(h[:, :3], 1 + w[:1, :3].detach() ** 2) + h @ w[:, :3],
    "masked": lambda h, w: torch.where(h[:, :3] > 0, h[:, :3], w[:1, :3]) @ w[:3, :3],
}


class Layer(nn.Module):
    """One operation of an activation and a weight."""

    def __init__(self, apply) -> None:
        super().__init__()
        self.layer, self.weight, self.apply = nn.Linear(5, 4), nn.Parameter(torch.rand(4, 4) + 0.1), apply
        self.tap = ErrorTap(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.apply(torch.tanh(self.layer(x)), self.weight))


class ItsOwnWeights(FeedbackAlignment):
    """B = W."""

    def backward_weight(self, name, weight):
        return weight


def model_of(apply) -> Layer:
    torch.manual_seed(0)
    return Layer(apply).double()


def take_step(name: str, model: nn.Module):
    method = (ItsOwnWeights(model) if name == "own" else make_method(name, model)).double()
    method.step(lambda: F.cross_entropy(model(X)[:, :3], Y))
    return method


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("operation", NOT_LINEAR)
def test_an_operation_whose_weight_gradient_reads_the_weight_is_refused(name, operation):
    """It would read the backward weight, and dW would be of another layer."""
    with pytest.raises(FeedbackError, match=rf"operation {operation} reads parameter 'weight'.*products and sums"):
        take_step(name, model_of(NOT_LINEAR[operation]))


def test_a_derived_weight_in_such_an_operation_is_refused():
    model = model_of(lambda h, w: -torch.cdist(h, derived_weight(torch.tanh, w))[:, :3])
    with pytest.raises(FeedbackError, match="operation Cdist reads parameter 'weight'"):
        take_step("fa", model)


@pytest.mark.parametrize("operation", LINEAR)
def test_the_weights_own_gradient_is_true_wherever_a_weight_is_replaced(operation):
    """The layer right below the tap has the true error; and with B = W all is backprop."""
    models = {name: model_of(LINEAR[operation]) for name in ("fa", "own", "bp")}
    methods = {name: take_step(name, model) for name, model in models.items()}
    assert methods["fa"].replaced == {"weight"}
    assert_same(gradients(models["own"]), gradients(models["bp"]), rtol=1e-12, atol=1e-14)
    if operation != "masked":  # its weight has a layer above itself
        torch.testing.assert_close(models["fa"].weight.grad, models["bp"].weight.grad, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(models["fa"].layer.weight.grad, models["bp"].layer.weight.grad)


def test_two_parameters_in_a_product_of_three_factors_are_refused():
    """The gradient of each reads the other, which may not be replaced there."""
    model = model_of(lambda h, w: F.bilinear(h, w[:1].expand(6, 4), w.unsqueeze(0).expand(3, 4, 4)))
    with pytest.raises(FeedbackError, match="operation Trilinear reads parameter 'weight'"):
        take_step("fa", model)


class Changed(nn.Module):
    """An activation that is changed in place behind the operation that saved it."""

    def __init__(self, change) -> None:
        super().__init__()
        self.layer, self.tap, self.change = nn.Linear(5, 3), ErrorTap(3), change

    def forward(self, x: Tensor) -> Tensor:
        h = torch.exp(self.layer(x))
        self.change(self, h)
        return self.tap(h)


def add_one(model: Changed, h: Tensor) -> None:
    h += 1


@pytest.mark.parametrize("name", METHODS)
def test_an_activation_that_was_changed_in_place_is_an_error(name):
    """As under backprop: else the gradient would be taken at the changed values."""
    model = Changed(add_one).double()
    match = r"tensor of shape \(6, 3\), which the gradient of Exp needs, was changed in place .*returns a new tensor"
    with pytest.raises(FeedbackError, match=match):
        take_step(name, model)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        take_step("bp", Changed(add_one).double())


def test_a_weight_that_was_changed_in_place_is_an_error():
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), ErrorTap(3)).double()
    method = make_method("fa", model)

    def closure():
        loss = model(X).square().mean()
        with torch.no_grad():
            model[2].weight.mul_(2)
        return loss

    with pytest.raises(FeedbackError, match=r"parameter '2\.weight', which .* was changed in place"):
        method.step(closure)


@pytest.mark.parametrize("name", METHODS)
def test_a_change_in_place_that_no_gradient_needs_is_exact(name):
    """A ReLU in place saves what it gave; a sum saves nothing."""

    def make():
        return nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3), nn.ReLU(True), ErrorTap(3))

    found = []
    for one in (name, "bp"):
        torch.manual_seed(0)
        model = make().double()
        take_step(one, model)
        found.append(model[2].weight.grad)
    assert torch.equal(*found)


@pytest.mark.parametrize("name", ["fa", "sign_symmetry", "kolen_pollack"])
def test_a_re_entrant_checkpoint_is_refused(name):
    """Its weights are not in the graph, so that they stayed as under backprop, without a word."""

    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.inner, self.leave = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            self.point, self.tap = FeedbackPoint(6), ErrorTap(3)

        def forward(self, x):
            h = self.point(torch.tanh(self.enter(x)))
            return self.tap(self.leave(torch.utils.checkpoint.checkpoint(self.inner, h, use_reentrant=True)))

    model = Hidden()
    with pytest.raises(FeedbackError, match="use_reentrant=False"):
        make_method(name, model).step(lambda: model(torch.ones(4, 5)).square().sum())
    assert all(p.grad is None for p in model.parameters())
