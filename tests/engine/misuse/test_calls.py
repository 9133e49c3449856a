"""Calls in another order, or of something else, than a method and the registry take."""

from __future__ import annotations

import copy

import pytest
import torch

from dfa_core import (
    DFA,
    Backprop,
    FeedbackError,
    FeedbackMethod,
    WeightTransport,
    insert_marks,
    make_method,
    register,
    registered_methods,
)
from dfa_core.registry import method_class
from tests.engine.methods.nets import net, supervision_of
from tests.helpers.engine_nets import assert_same, batch, build, gradients, mse


@pytest.mark.parametrize("name", [build(5, 7, 3), 3, None, ["dfa"]], ids=lambda name: type(name).__name__)
def test_a_name_that_is_none(name):
    """Without it ``make_method(model, "dfa")`` would print the network, and a number be a TypeError of difflib's."""
    with pytest.raises(FeedbackError, match=r"name of a method is a \w+: call make_method\(name, model\)"):
        make_method(name, build(5, 7, 3))


@pytest.mark.parametrize("model", [3, None, "dfa", [build(5, 7, 3)], torch.ones(2), torch.nn.Linear], ids=repr)
def test_a_model_that_is_none(model):
    """Without it a list of layers, or a class in place of its instance, would be an AttributeError from within."""
    for use in (DFA, Backprop, lambda given: insert_marks(given, points={"": 3})):
        with pytest.raises(FeedbackError, match=r"the model is .*: give an instance of torch.nn.Module"):
            use(model)


class LateCheck(DFA):
    """A user's own, which looks at its settings when it is attached."""

    def __init__(self, model, *, feedback_seed=0, steps=0):
        super().__init__(model, feedback_seed=feedback_seed)
        if not steps:
            raise KeyboardInterrupt


@pytest.mark.parametrize("former", ["dfa", "fa", "bp"])
def test_a_constructor_that_fails_leaves_the_former_method_on(former):
    """Without it a typing error in a notebook would end the training that goes on."""
    model, data = build(5, 7, 3), batch(4, 5, 3)
    method = make_method(former, model)
    method.step(lambda: mse(model, data))
    expected, names = gradients(model), {id(mark): mark.name for mark in model.modules() if hasattr(mark, "recorder")}
    refused = [
        (lambda: DFA(model, error="tern"), FeedbackError),
        (lambda: DFA(model=model, rank=-1), FeedbackError),
        (lambda: method_class("fa")(model, alignment=2), FeedbackError),
        (lambda: method_class("pepita")(model), FeedbackError),  # there is one point
        (lambda: method_class("mezo")(model, epsilon=0), FeedbackError),
        (lambda: LateCheck(model), KeyboardInterrupt),
    ]
    for construct, error in refused:
        with pytest.raises(error):
            construct()
        model.zero_grad()
        method.step(lambda: mse(model, data))
        assert_same(gradients(model), expected)
        assert names == {id(mark): mark.name for mark in model.modules() if hasattr(mark, "recorder")}
    LateCheck(model, steps=1)
    with pytest.raises(FeedbackError, match="another method was attached"):
        method.step(lambda: mse(model, data))


@pytest.mark.parametrize("name", ["dfa", "fa", "local", "mezo", "pepita", "bp"])
def test_a_loss_in_place_of_a_closure(name):
    """Without it each method would say that a tensor cannot be called, from somewhere within."""
    model, data = net(5, 7, 6, 4).float(), batch(6, 5, 4)
    with pytest.raises(FeedbackError, match="step got a Tensor: give it a closure"):
        make_method(name, model).step(mse(model, data), supervision_of(data))


def test_what_is_no_method_is_not_registered():
    """Without it a decorator without a name would register nothing, and nobody would know."""
    before = registered_methods()
    with pytest.raises(FeedbackError, match=r"Nameless: write @register\(name\)"):

        @register
        class Nameless(FeedbackMethod):
            pass

    for thing in (object, lambda model: model):
        with pytest.raises(FeedbackError, match="register a class derived from Method"):
            register("thing")(thing)
    with pytest.raises(FeedbackError, match="needs labels: choose of"):
        register("labelled", needs="labels")(type("Labelled", (FeedbackMethod,), {}))
    assert registered_methods() == before


def test_one_need_may_be_a_text(own_methods):
    """Without it its letters would be needs that do not exist."""
    register("one_need_in_a_test", needs="targets")(type("One", (FeedbackMethod,), {}))
    assert method_class("one_need_in_a_test").needs == {"targets"}


def test_a_pair_of_copies_says_so():
    """Without it a copied trainer would hear of another method, which there is not."""
    model = build(5, 7, 3)
    copied, method = copy.deepcopy((model, make_method("dfa", model)))
    with pytest.raises(FeedbackError, match=r"both are copies: make the method anew"):
        method.backward(mse(copied, batch(6, 5, 3)))


@pytest.mark.parametrize(
    ("family", "missing"), [(FeedbackMethod, "neither signal"), (WeightTransport, "backward_weight")]
)
def test_a_method_without_its_rule(family, missing):
    """Without it a misspelt ``signal`` of a plugin would end a run in a traceback."""
    model = build(5, 7, 3)
    method = type("Unfinished", (family,), {})(model)
    with pytest.raises(FeedbackError, match=rf"Unfinished .*{missing}.*: define"):
        method.step(lambda: mse(model, batch(6, 5, 3)))
