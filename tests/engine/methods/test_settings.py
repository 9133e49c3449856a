"""What a method's settings may be, and what its own random numbers depend on."""

from __future__ import annotations

import math

import pytest
import torch

from dfa_core import FeedbackError, make_method
from tests.engine.methods.nets import classification, net, step
from tests.helpers.engine_nets import assert_same, gradients

WITHOUT_MEANING = [
    ("dfa", {"error": "ternary", "threshold": 1.0}),
    ("dfa", {"error": "ternary", "threshold": -0.1}),
    ("dfa", {"threshold": math.nan}),
    ("dfa", {"scale": math.nan}),
    ("dfa", {"noise": math.nan}),
    ("dfa", {"noise": None}),
    ("dfa", {"bits": 2.5}),
    ("dkp", {"lr": math.inf}),
    ("directional", {"scale": math.nan}),
    ("drtp", {"scale": math.inf}),
    ("pepita", {"scale": math.nan}),
    ("directional", {"epsilon": 0.0}),
    ("forward_gradient", {"epsilon": -1e-3}),
    ("mezo", {"epsilon": math.nan}),
    ("predictive_coding", {"rate": 0.0}),
    ("local", {"decoder_lr": 0.0}),
    ("fa", {"alignment": 2.0}),
    ("kolen_pollack", {"decay": 1.0}),
]


@pytest.mark.parametrize(("name", "settings"), WITHOUT_MEANING)
def test_a_value_without_meaning_is_refused(name, settings):
    """Else it would be NaN, or nothing would learn under the name of a method that does."""
    *_, (key, value) = settings.items()
    with pytest.raises(FeedbackError, match=f"{key}={value}: .*must"):
        make_method(name, net(), **settings)


def test_a_rank_is_a_whole_number():
    """Else the size of a tensor would be a fraction; a configuration may write 2 as 2.0."""
    with pytest.raises(FeedbackError, match=r"rank=1\.5, .*rank must be a whole number"):
        make_method("dfa", net(), rank=1.5)
    whole, written_so = (make_method("dfa", net(), rank=rank) for rank in (2, 2.0))
    for point in whole.layout.points:
        assert torch.equal(whole.matrix(point), written_so.matrix(point))


@pytest.mark.parametrize(
    ("name", "options"),
    [("drtp", {}), ("pepita", {}), ("dfa", {"density": 0.5}), ("dfa", {"rank": 2}), ("fa", {}), ("local", {})],
)
def test_random_matrices_do_not_depend_on_the_default_type(name, options):
    """Else a user of fp64 would have other feedback with the same seed than the records say."""
    model, other, data = net(), net(), classification()
    step(name, model, data, **options)
    torch.set_default_dtype(torch.float64)
    try:
        step(name, other, data, **options)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(gradients(other), gradients(model))
