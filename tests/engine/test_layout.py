"""Names, and marks that a method does not see: what decides the feedback, and what would be backprop in disguise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackError, FeedbackMatrices, FeedbackPoint, make_method, measure_alignment
from tests.helpers.engine_nets import Net, assert_same, batch, build, gradients, mse


class InAHook(Net):
    """Its only point is called by a hook and is no submodule."""

    def __init__(self, *widths: int) -> None:
        super().__init__(*widths)
        point = FeedbackPoint(widths[1])
        self.points = nn.ModuleList([nn.Identity()])
        self.points[0].register_forward_hook(lambda _m, _i, out: point(out))


@pytest.mark.parametrize("name", ["dfa", "shallow"])
def test_a_model_without_points_is_refused(name):
    """Without it the method would be plain backprop under another name."""
    for model in (Net(5, 3), InAHook(5, 7, 3)):
        with pytest.raises(FeedbackError, match="by backprop, because no feedback point belongs to it"):
            make_method(name, model)
        make_method("bp", model)  # which may
    pair = nn.ModuleDict({"a": build(5, 7, 3), "b": Net(5, 3)})
    with pytest.raises(FeedbackError, match=r"below error tap 'b.tap' by backprop"):
        make_method(name, pair)


@pytest.mark.parametrize("where", ["replaced", "added", "a tap"])
def test_marks_that_came_too_late(where):
    """Without it a new mark would stay an identity: backprop through a part of the network, in silence."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    method = make_method("dfa", model)
    method.backward(mse(model, data))
    if where == "replaced":
        model.points[0] = FeedbackPoint(7)
    elif where == "added":
        model.layers[2] = nn.Sequential(model.layers[2], FeedbackPoint(3))
    else:
        model.tap = ErrorTap(3)
    with pytest.raises(FeedbackError, match=r"was put into the model after its method was made.*make the method anew"):
        method.backward(mse(model, data))
    make_method("dfa", model).backward(mse(model, data))


def test_a_submodule_called_module_keeps_its_name():
    """Without it names collide: one of five parameters would be missing from what trains and from the alignment."""

    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module, self.point = nn.Linear(5, 7), FeedbackPoint(7)
            self.inner = nn.ModuleDict({"module": nn.Linear(7, 7), "_orig_mod": nn.Linear(7, 3, bias=False)})
            self.weight, self.tap = nn.Parameter(torch.ones(3)), ErrorTap(3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.point(torch.tanh(self.module(x)))
            return self.tap(self.inner["_orig_mod"](self.inner["module"](h)) * self.weight)

    model, data = Nested(), batch(9, 5, 3)
    method = make_method("dfa", model)
    assert list(method.trainable_parameters()) == [name for name, _ in model.named_parameters()]
    measured = measure_alignment(method, lambda: mse(model, data))
    assert measured.parameters.keys() == dict(model.named_parameters()).keys()
    compiled = torch.compile(model)
    assert list(make_method("dfa", compiled).trainable_parameters()) == list(method.trainable_parameters())


def test_a_name_of_its_own_keeps_a_marks_feedback():
    """Without it a layer put in front of the others would change the feedback of all."""

    def sequence(*first: nn.Module, name: str) -> nn.Sequential:
        return nn.Sequential(*first, nn.Linear(5, 7), FeedbackPoint(7), nn.Linear(7, 3), ErrorTap(3, name=name))

    plain, deeper = (make_method("dfa", sequence(*first, name="")) for first in ((), (nn.Identity(),)))
    assert list(deeper.layout.taps) == ["4"] and not torch.equal(plain.matrix("1"), deeper.matrix("2"))
    plain, deeper = (make_method("dfa", sequence(*first, name="output")) for first in ((), (nn.Identity(),)))
    assert deeper.layout.tap_of == {"2": "output"} and torch.equal(plain.matrix("1"), deeper.matrix("2"))
    assert "name='output'" in repr(deeper.layout.taps["output"])
    with pytest.raises(FeedbackError, match=r"two marks are named 'h', at '0' and '1'"):
        make_method("dfa", nn.Sequential(FeedbackPoint(3, name="h"), FeedbackPoint(3, name="h"), ErrorTap(3)))


@pytest.mark.parametrize("feedback", ["shared_uniform", "uniform", "gaussian", "orthogonal"])
def test_matrices_depend_on_seed_and_name_alone(feedback):
    """Without it a default type, a default device or a wrapper would draw other feedback for the same seed."""
    expected = make_method("dfa", build(5, 7, 6, 3), feedback=feedback).state_dict()
    torch.set_default_dtype(torch.float64)
    try:
        model = build(5, 7, 6, 3)
        doubled = make_method("dfa", model, feedback=feedback)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(doubled.state_dict(), expected)
    data = tuple(part.double() for part in batch(9, 5, 3))
    doubled.backward(mse(model, data))
    assert {g.dtype for g in gradients(model).values()} == {torch.float64}


@pytest.mark.parametrize("feedback", ["shared_uniform", "uniform"])
def test_a_model_made_on_the_meta_device(feedback):
    """Without it `to_empty` would leave the matrices as the memory was found: other feedback, or NaN."""
    expected = make_method("dfa", build(5, 7, 6, 3), feedback=feedback).state_dict()
    with torch.device("meta"):
        model = Net(5, 7, 6, 3)
        method = make_method("dfa", model, feedback=feedback)
    with torch.device("meta"):
        other = make_method("dfa", model, feedback=feedback, feedback_seed=1)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.1)
    data = batch(9, 5, 3)
    with pytest.raises(FeedbackError, match=r"are on meta, its error is on cpu: move the method with its model"):
        other.backward(mse(model, data))
    method = make_method("dfa", model, feedback=feedback) if feedback == "uniform" else method.to_empty(device="cpu")
    assert_same(method.state_dict(), expected)


def test_matrices_outlive_to_empty_and_conversions():
    """Without it a parent module's `to_empty` would replace the matrices by what lay in memory."""
    matrices = FeedbackMatrices("tap", 4, {"a": 7, "b": 5}, kind="uniform")
    expected = matrices.weight.clone()
    holder = nn.ModuleDict({"method": matrices}).to_empty(device="cpu")
    assert torch.equal(matrices.weight, expected)
    with torch.no_grad():
        matrices.matrix("a").fill_(2)  # feedback of one's own is kept by conversions
    holder.to(torch.float64).to(torch.bfloat16).float()
    assert (matrices.matrix("a") == 2).all()
