"""Methods with weights of their own on the way back, on layers as other people write them."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, prune, spectral_norm, vector_to_parameters, weight_norm

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, derived_weight, make_method
from tests.helpers.engine_nets import assert_same, gradients

METHODS = ["fa", "sign_symmetry", "kolen_pollack"]


def net(hidden: nn.Module | None = None, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(5, 8), nn.Tanh(), FeedbackPoint(8), hidden or nn.Linear(8, 8), nn.Tanh(), FeedbackPoint(8)]
    return nn.Sequential(*layers, nn.Linear(8, 3), ErrorTap(3)).double()


X, Y = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(6, 5), torch.arange(6) % 3


def loss_of(model: nn.Module) -> torch.Tensor:
    return F.cross_entropy(model(X), Y)


class Computed(nn.Linear):
    """A layer that computes its weight in every forward pass."""

    kind = "scaled"

    def forward(self, x):
        weight = {
            "scaled": lambda w: w * 0.5,
            "masked": lambda w: w * torch.ones_like(w),
            "standardised": lambda w: (w - w.mean(1, keepdim=True)) / (w.std(1, keepdim=True) + 1e-5),
            "normalised": lambda w: F.normalize(w, dim=1),
            "squashed": torch.tanh,
        }[self.kind](self.weight)
        return F.linear(x, weight, self.bias)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["scaled", "masked", "standardised", "normalised", "squashed"])
def test_a_computed_weight_is_no_silent_backprop(name, kind):
    """The layer would send the error through its true weight, and nobody would know."""
    layer = Computed(8, 8)
    layer.kind = kind
    model = net(layer)
    with pytest.raises(FeedbackError, match=r"replaced 1 of 2 weights, but not 3\.weight: the layer uses a copy, comp"):
        make_method(name, model).step(lambda: loss_of(model))


def test_a_computed_weight_that_is_declared_is_replaced():
    class Declared(nn.Linear):
        def forward(self, x):
            return F.linear(x, derived_weight(torch.tanh, self.weight), self.bias)

    model = net(Declared(8, 8))
    method = make_method("fa", model)
    method.step(lambda: loss_of(model))
    assert method.replaced == {"3.weight", "6.weight"}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("put", [weight_norm, spectral_norm, lambda layer: prune.l1_unstructured(layer, "weight", 0.3)])
def test_weights_that_hooks_compute_are_refused(name, put):
    layer = nn.Linear(8, 8)
    put(layer)
    with pytest.raises(FeedbackError, match="'3' computes its weight from parameters"):
        make_method(name, net(layer))


@pytest.mark.parametrize("name", METHODS)
def test_a_frozen_weight_is_replaced_and_stays_as_it_is(name):
    """Freezing a layer must not let the true weight through, nor unfreezing it end the training."""
    free, frozen = net(), net()
    frozen[3].requires_grad_(False)
    before = frozen[3].weight.clone()
    a, b = (make_method(name, model) for model in (free, frozen))
    a.step(lambda: loss_of(free))
    b.step(lambda: loss_of(frozen))
    assert torch.equal(frozen[0].weight.grad, free[0].weight.grad)
    assert b.replaced == {"3.weight", "6.weight"} and torch.equal(frozen[3].weight, before)
    frozen[3].requires_grad_()
    b.step(lambda: loss_of(frozen))
    assert frozen[3].weight.grad is not None


@pytest.mark.parametrize("name", METHODS)
def test_parameters_of_one_flat_vector_and_of_a_larger_tensor(name):
    """As `vector_to_parameters` and cuDNN's recurrent layers lay them out."""
    plain, flat, part = net(), net(), net()
    vector_to_parameters(parameters_to_vector(flat.parameters()).detach(), flat.parameters())
    wide = torch.zeros(8, 16, dtype=torch.float64)
    wide[:, :8] = part[3].weight.detach()
    part[3].weight.data = wide[:, :8]
    for model in (plain, flat, part):
        make_method(name, model).step(lambda model=model: loss_of(model))
    assert_same(gradients(flat), gradients(plain))
    assert_same(gradients(part), gradients(plain))


def test_a_tap_that_the_loss_does_not_read_asks_for_nothing():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.coarse, self.fine = net(), net()

        def forward(self, x):
            return self.coarse(x), self.fine(x)

    model = Two()
    method = make_method("fa", model)
    method.step(lambda: F.cross_entropy(model(X)[1], Y))
    assert method.replaced == {"fine.3.weight", "fine.6.weight"}


def test_a_run_with_other_tensors_than_the_parameters_is_refused():
    """Nothing would be recognised, so nothing replaced: backprop."""
    model = net()
    method, others = (
        make_method("fa", model),
        {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()},
    )
    with pytest.raises(FeedbackError, match="other tensors than the model's parameters"):
        method.step(lambda: F.cross_entropy(torch.func.functional_call(model, others, (X,)), Y))


@pytest.mark.parametrize("name", METHODS)
def test_graphs_are_freed(name):
    """A node that keeps its own output keeps itself: every step would leave its memory behind."""
    model = net()
    method, alive = make_method(name, model), []

    def closure(fails: bool = False):
        output = model(X)
        kept = nn.Module()
        output.softmax(1).grad_fn.metadata["kept"] = output.tanh().grad_fn.metadata["kept"] = kept
        unused = output.softmax(1)
        unused.grad_fn.metadata["kept"] = kept
        alive.append(weakref.ref(kept))
        if fails:
            raise ZeroDivisionError
        return F.cross_entropy(output, Y)

    method.step(closure)
    with pytest.raises(ZeroDivisionError):
        method.step(lambda: closure(fails=True))
    method.reset()
    closure()  # that no step follows
    gc.collect()
    assert [one() for one in alive] == [None] * 3


@pytest.mark.parametrize(("name", "options"), [("fa", {}), ("sign_symmetry", {"magnitude": "fixed"})])
def test_a_state_that_is_loaded_after_a_step_counts(name, options):
    a, b = net(seed=0), net(seed=1)
    with torch.no_grad():
        for p in b.parameters():
            p.mul_(3)
    first, second = (make_method(name, model, **options).double() for model in (a, b))
    second.step(lambda: loss_of(b))
    b.load_state_dict(a.state_dict())
    second.load_state_dict(first.state_dict())
    for model, method in ((a, first), (b, second)):
        model.zero_grad()
        method.step(lambda model=model: loss_of(model))
    assert_same(gradients(b), gradients(a))


class Propagated(nn.Module):
    """A graph's step by a sparse matrix, behind a layer."""

    def __init__(self, sparse):
        super().__init__()
        self.layer, self.sparse = nn.Linear(8, 8), sparse

    def forward(self, x):
        adjacency = torch.eye(len(x), dtype=x.dtype).roll(1, 0) + 0.5 * torch.eye(len(x), dtype=x.dtype)
        h = self.layer(x)
        return torch.sparse.mm(adjacency.to_sparse(), h) if self.sparse == "coo" else adjacency.to_sparse_csr() @ h \
            if self.sparse else adjacency @ h  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("sparse", ["coo", "csr"])
def test_sparse_matrices_pass(name, sparse):
    """They have no storage to look at, and are no weights."""
    found = []
    for kind in (sparse, None):
        torch.manual_seed(1)
        model = net(Propagated(kind))
        make_method(name, model).step(lambda model=model: loss_of(model))
        found.append(gradients(model))
    assert_same(*found)


@pytest.mark.parametrize("name", METHODS)
def test_a_weight_that_came_after_the_method_is_named(name):
    """Without it a layer that is put in later would be a KeyError."""
    model = net()
    method = make_method(name, model)
    model[4] = nn.Sequential(nn.Tanh(), nn.Linear(8, 8)).double()
    with pytest.raises(FeedbackError, match=r"no backward weight for '4\.1\.weight'.*make the method anew"):
        method.step(lambda: loss_of(model))
    make_method(name, model).step(lambda: loss_of(model))
    assert None not in gradients(model).values()
