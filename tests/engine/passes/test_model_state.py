"""What a model's runs read and move besides buffers: generators of its own, old norms, frozen parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method, measure_alignment
from tests.engine.methods.nets import classification, make
from tests.helpers.engine_nets import assert_same, gradients

X, Y = classification()
SEVERAL = [
    ("dfa", {"recompute": True}),
    ("mezo", {}),
    ("directional", {}),
    ("forward_gradient", {}),
    ("node_perturbation", {}),
    ("pepita", {}),
    ("predictive_coding", {}),
    ("bp_recompute", {}),
]


class Dropping(nn.Module):
    """A block that draws its masks from a generator; ``None``: from torch's own."""

    def __init__(self, layer: nn.Module, outputs: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.layer, self.point, self.generator = layer, FeedbackPoint(outputs), generator

    def forward(self, x):
        h = torch.tanh(self.layer(x))
        return self.point(h * (torch.rand(h.shape, generator=self.generator) > 0.3))


def blocks(generator=None, norm=lambda layer: layer):
    torch.manual_seed(0)
    first, second = Dropping(norm(nn.Linear(5, 7)), 7, generator), Dropping(norm(nn.Linear(7, 6)), 6, generator)
    return nn.Sequential(first, second, nn.Linear(6, 4), ErrorTap(4)).double()


def after_step(name, options, model):
    method = make(name, model, **options)
    torch.manual_seed(3)
    method.step(lambda: F.cross_entropy(model(X), Y))
    return {**gradients(model), **{f"own {n}": g for n, g in gradients(method).items()}}


@pytest.mark.parametrize(("name", "options"), [("bp", {}), ("dfa", {}), *SEVERAL])
def test_a_modules_own_generator_is_as_good_as_torchs(name, options):
    """Two modules share it; without it masks of two runs would differ, and nothing would say so."""
    generator, default = torch.Generator().manual_seed(3), torch.default_generator
    own, common = after_step(name, options, blocks(generator)), after_step(name, options, blocks())
    assert_same(own, common)
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=default))  # it moved as once


def test_measuring_leaves_a_modules_own_generator_alone():
    generator = torch.Generator().manual_seed(3)
    model = blocks(generator)
    measure_alignment(make_method("dfa", model).double(), lambda: F.cross_entropy(model(X), Y))
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(3).get_state())


def test_a_segment_reads_the_buffers_of_its_first_run_again():
    """The power iteration of the old spectral norm: the second run would start where the first one ended."""
    found = []
    for name in ("bp", "bp_recompute"):
        model = blocks(norm=nn.utils.spectral_norm)
        after = after_step(name, {}, model)
        found.append({**after, **{n: b.clone() for n, b in model.named_buffers()}})
    assert_same(*found)


class Momentum(nn.Module):
    """A block with a frozen parameter, which follows a learning one in the forward pass."""

    def __init__(self, inputs: int, outputs: int, assigned: bool) -> None:
        super().__init__()
        self.layer, self.point, self.assigned = nn.Linear(inputs, outputs), FeedbackPoint(outputs), assigned
        self.slow = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, x):
        if self.assigned:
            self.slow.data = self.slow.data * 0.5
        else:
            with torch.no_grad():
                self.slow.mul_(0.5)
        return self.point(torch.tanh(self.layer(x)) * self.slow)


def following(assigned):
    return nn.Sequential(Momentum(5, 7, assigned), Momentum(7, 6, assigned), nn.Linear(6, 4), ErrorTap(4)).double()


@pytest.mark.parametrize("assigned", [False, True])
@pytest.mark.parametrize(("name", "options"), SEVERAL)
def test_frozen_parameters_that_a_pass_moves_are_refused(name, options, assigned):
    """They would move several times a step, and no run would read what the one before did."""
    model = following(assigned)
    method = make(name, model, **options)
    with pytest.raises(FeedbackError, match=r"slow', which is frozen.*outside of the closure.*buffer"):
        method.step(lambda: F.cross_entropy(model(X), Y))


@pytest.mark.parametrize("assigned", [False, True])
@pytest.mark.parametrize("name", ["bp", "dfa"])
def test_frozen_parameters_move_once_where_the_model_runs_once(name, assigned):
    model = following(assigned)
    after_step(name, {}, model)
    assert [float(model[i].slow) for i in (0, 1)] == [0.5, 0.5]
