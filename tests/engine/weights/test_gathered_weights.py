"""Methods with weights of their own on the way back, where data choose rows: of a weight, or of an embedding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, derived_weight, make_method

X, Y = torch.linspace(-1, 1, 30, dtype=torch.float64).sin().reshape(6, 5), torch.arange(6) % 3
CHOSEN = torch.arange(6) % 2

GATHERS = {
    "index": lambda w, k: w[k],
    "index_select": lambda w, k: w.index_select(0, k),
    "gather": lambda w, k: w.gather(0, k[:, None, None].expand(-1, 8, 3)),
    "embedding": lambda w, k: F.embedding(k, w.flatten(1)).view(-1, 8, 3),
    "sum": lambda w, k: w[k] + w[0],
    "flipped": lambda w, k: w.flip(0)[k],
}


class Experts(nn.Module):
    """A matrix for each sample, chosen among a few."""

    def __init__(self, gather, declared: bool = False) -> None:
        super().__init__()
        self.layer, self.point, self.tap = nn.Linear(5, 8), FeedbackPoint(8), ErrorTap(3)
        self.experts, self.gather, self.declared = nn.Parameter(torch.randn(2, 8, 3)), gather, declared

    def forward(self, x: Tensor) -> Tensor:
        h = self.point(torch.tanh(self.layer(x)))

        def chosen(experts: Tensor) -> Tensor:
            return self.gather(experts, CHOSEN)

        weight = derived_weight(chosen, self.experts) if self.declared else chosen(self.experts)
        return self.tap(torch.bmm(h.unsqueeze(1), weight).squeeze(1))


def take_step(model: nn.Module, x: Tensor = X):
    method = make_method("fa", model)
    method.step(lambda: F.cross_entropy(model(x), Y))
    return method


@pytest.mark.parametrize("gather", GATHERS.values(), ids=GATHERS)
def test_gathered_weights_are_an_error(gather):
    """They are copies, which no other weight could replace: backprop, unseen."""
    with pytest.raises(FeedbackError, match=r"not experts: the layer uses a copy.*gathers rows of it.*derived_weight"):
        take_step(Experts(gather).double())


@pytest.mark.parametrize("copy", [torch.tril, lambda w: w.repeat(1, 1), lambda w: w.flip(0), torch.matrix_exp])
def test_copies_in_another_order_are_an_error(copy):
    """As gathered ones."""

    class Copied(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.weight, self.tap = nn.Linear(5, 3), nn.Parameter(torch.randn(3, 3)), ErrorTap(3)

        def forward(self, x):
            return self.tap(torch.tanh(self.layer(x)) @ copy(self.weight))

    with pytest.raises(FeedbackError, match="not weight: the layer uses a copy"):
        take_step(Copied().double())


def test_a_weight_times_a_vector_of_parameters_is_an_error():
    """A gain for each row makes another weight of it, although a vector is never replaced."""

    class Gained(nn.Linear):
        def forward(self, x):
            return F.linear(x, self.weight * self.bias[:, None])

    model = nn.Sequential(nn.Linear(5, 3), nn.Tanh(), Gained(3, 3), ErrorTap(3)).double()
    with pytest.raises(FeedbackError, match=r"not 2\.weight: the layer uses a copy, computes"):
        take_step(model)


def test_a_weight_that_is_used_as_it_is_and_through_a_copy_is_an_error():
    """It was replaced at one place, and must not hide the other."""

    class Twice(nn.Linear):
        def forward(self, x):
            return F.linear(torch.tanh(F.linear(x, self.weight)), torch.tanh(self.weight))

    with pytest.raises(FeedbackError, match=r"not 2\.weight: the layer uses a copy, computes"):
        take_step(nn.Sequential(nn.Linear(5, 3), nn.Tanh(), Twice(3, 3), ErrorTap(3)).double())


def test_gathered_weights_that_are_declared_are_replaced():
    """The rows of the twin take the place of the weight's own, in the gradient of the input alone."""
    torch.manual_seed(0)
    model = Experts(GATHERS["index"], declared=True).double()
    method = take_step(model)
    assert method.replaced == {"experts"}
    h = torch.tanh(model.layer(X)).detach()
    e = (torch.bmm(h.unsqueeze(1), model.experts.detach()[CHOSEN]).squeeze(1).softmax(1) - F.one_hot(Y, 3)) / len(Y)
    twin = method.random_weight("experts", model.experts.detach())[CHOSEN]
    delta = torch.bmm(twin, e.unsqueeze(2)).squeeze(2) * (1 - h**2)
    torch.testing.assert_close(model.layer.bias.grad, delta.sum(0), rtol=1e-12, atol=1e-14)


class Rows(nn.Module):
    """Rows of a table, as the first activations."""

    def __init__(self, table: nn.Module | nn.Parameter, mix) -> None:
        super().__init__()
        self.table, self.mix = table, mix
        self.dense, self.out, self.tap = nn.Linear(5, 4), nn.Linear(4, 3), ErrorTap(3)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.table[CHOSEN] if isinstance(self.table, nn.Parameter) else self.table(CHOSEN)
        return self.tap(self.out(self.mix(rows, torch.tanh(self.dense(x)))))


@pytest.mark.parametrize("mix", [lambda rows, h: rows, torch.add, lambda rows, h: torch.tanh(2 * rows) + h])
@pytest.mark.parametrize("table", [lambda: nn.Embedding(2, 4), lambda: nn.Parameter(torch.randn(2, 4))])
def test_rows_that_are_the_first_activations_are_no_weights(table, mix):
    """They are the input of the layer above, whose weight is replaced."""
    assert take_step(Rows(table(), mix).double()).replaced == {"out.weight"}


@pytest.mark.parametrize("table", [nn.Embedding(2, 4), nn.EmbeddingBag(2, 4)])
def test_an_embedding_may_be_multiplied_by_activations(table):
    """Two towers: the rows that an embedding gives are activations everywhere."""
    rows = (lambda ids: table(ids)) if isinstance(table, nn.Embedding) else (lambda ids: table(ids[:, None]))
    model = Rows(nn.Identity(), lambda ignored, h: rows(CHOSEN) * h)
    model.held = table
    assert take_step(model.double()).replaced == {"out.weight"}


def test_rows_of_a_bare_parameter_that_are_multiplied_by_activations_are_an_error():
    """They could be weights; an `nn.Embedding` says that they are not."""
    with pytest.raises(FeedbackError, match=r"not table: .* in an nn\.Embedding"):
        take_step(Rows(nn.Parameter(torch.randn(2, 4)), torch.mul).double())
