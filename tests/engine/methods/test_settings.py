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
    with pytest.raises(FeedbackError, match=f"{key}={value}: must"):
        make_method(name, net(), **settings)


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
