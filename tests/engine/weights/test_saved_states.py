"""States of methods with backward weights: sizes and differences go by position, so the weights must be the same."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackError, make_method


class Three(nn.Module):
    """Three layers that run in the order a, b, c, and are registered in another."""

    def __init__(self, order: str) -> None:
        super().__init__()
        for name in order:
            setattr(self, name, nn.Linear(6, 6))
        self.tap = ErrorTap(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.tap(self.c(torch.tanh(self.b(torch.tanh(self.a(x))))))


def saved(method):
    """The state, as a file has it."""
    file = io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def pair(name, order):
    """A method of a model whose layers differ in size, and one of its copy with the layers in ``order``."""
    torch.manual_seed(0)
    model, copy = Three("abc"), Three(order)
    with torch.no_grad():
        model.b.weight.mul_(3)
        model.c.weight.mul_(0.2)
    method = make_method(name, model)
    copy.load_state_dict(model.state_dict())
    return method, make_method(name, copy)


@pytest.mark.parametrize("name", ["fa", "sign_symmetry", "kolen_pollack"])
def test_a_state_for_other_weights_is_refused(name):
    """Layer a would get the feedback of layer c."""
    method, other = pair(name, "cba")
    before = {key: value.clone() for key, value in other.state_dict().items() if isinstance(value, Tensor)}
    with pytest.raises(FeedbackError, match=r"weight 'a\.weight' where this one has 'c\.weight'"):
        other.load_state_dict(saved(method))
    assert all(torch.equal(other.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", ["fa", "sign_symmetry", "kolen_pollack"])
def test_a_state_for_the_same_weights_is_loaded(name):
    method, other = pair(name, "abc")
    other.sizes.zero_()
    assert other.load_state_dict(saved(method)).missing_keys == [] and torch.equal(other.sizes, method.sizes)
    assert other.load_state_dict(dict(method.state_dict())).missing_keys == []  # of versions that did not name them
