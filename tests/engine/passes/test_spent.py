"""A pass goes backward once: what asks for it again is told so."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, make_method
from tests.helpers.engine_nets import assert_same, batch, build, gradients


def frozen_readout() -> nn.Module:
    model = build(5, 7, 3)
    model.layers[1].requires_grad_(False)
    return model


def point_below_the_tap() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 3), nn.Tanh(), FeedbackPoint(3), ErrorTap(3))


@pytest.mark.parametrize("made", [frozen_readout, point_below_the_tap, lambda: build(5, 7, 3)])
@pytest.mark.parametrize("name", ["dfa", "shallow"])
def test_a_second_backward_of_one_pass_is_refused(made, name):
    """Without it the second loss would add nothing, or end in PyTorch's message on a graph that was freed."""
    model = made()
    method = make_method(name, model)
    output = model(batch(4, 5, 3)[0])
    method.backward(output.mean())
    once = gradients(model)
    with pytest.raises(FeedbackError, match=r"'.*' went backward before: add its losses up"):
        method.backward(output.square().mean())
    assert_same(gradients(model), once)


def test_two_wrapped_losses_of_one_pass_are_refused():
    """Without it their sum would train on the first of them alone."""
    model = frozen_readout()
    method = make_method("dfa", model)
    output = model(batch(4, 5, 3)[0])
    with pytest.raises(FeedbackError, match="went backward before"):
        (method.wrap(output.mean()) + method.wrap(output.square().mean())).backward()


def test_two_wrapped_losses_of_two_passes_add_up():
    """Without it the refusal could go too far: micro-batches are added so."""
    model, (x, _) = build(5, 7, 3), batch(8, 5, 3)
    method = make_method("dfa", model)
    (method.wrap(model(x[:4]).square().sum()) + method.wrap(model(x[4:]).square().sum())).backward()
    found = gradients(model)
    model.zero_grad()
    method.backward(model(x).square().sum())
    assert_same(found, gradients(model), rtol=1e-5, atol=1e-6)


def test_the_sum_of_two_losses_of_one_pass():
    """Without it the hint of the refusal would be worth nothing."""
    model, (x, y) = frozen_readout(), batch(4, 5, 3)
    method = make_method("dfa", model)
    output = model(x)
    method.wrap(output.mean() + (output - y).square().mean()).backward()
    assert model.layers[0].weight.grad is not None


def test_an_output_that_the_next_step_reads_is_refused_unless_detached():
    """Without it a recurrent state would be cut between steps in silence; PyTorch refuses it too."""
    model, (x, y) = build(4, 7, 4), batch(4, 4, 4)
    method = make_method("dfa", model)
    carried = model(x)
    method.backward((carried - y).square().mean())
    method.backward((model(carried.detach()) - y).square().mean())
    with pytest.raises(FeedbackError, match=r"went backward before.*detach\(\) what is carried"):
        method.backward((model(carried) - y).square().mean())
