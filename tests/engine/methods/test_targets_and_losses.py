"""Methods that ask the task for more than its loss: labels in place of errors, and local losses, in fp64."""

from __future__ import annotations

import pytest
import torch

from dfa_core import FeedbackError, Supervision, make_method, registered_methods
from tests.engine.methods.nets import (
    classification,
    closure_of,
    gradients_by,
    net,
    step,
    take_step,
)
from tests.helpers.engine_nets import assert_same, gradients

DATA = classification()
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def test_drtp_needs_no_error():
    """Its signal does not know what lies above; without it the error would be transported."""
    found = gradients_by("drtp", DATA)
    model = net()
    with torch.no_grad():
        model.layers[2].weight.mul_(-3)
    step("drtp", model, DATA)
    changed = gradients(model)
    assert torch.equal(found["layers.1.weight"], changed["layers.1.weight"])
    assert torch.equal(found["layers.0.weight"], changed["layers.0.weight"])
    assert not torch.allclose(found["layers.2.weight"], changed["layers.2.weight"])


def test_drtp_sends_a_row_of_its_matrix_to_labelled_samples():
    """δ_i = + B_i y* / n; samples without label send nothing."""
    model = net()
    method = make_method("drtp", model)
    x, y = DATA
    known = y.clone()
    known[:4] = -1
    from dfa_core import Classes

    method.step(closure_of(model, DATA), Supervision(targets=lambda tap: Classes(known, 4)))
    h1 = torch.tanh(model.layers[0](x)).detach()
    signal = method.matrix("points.0", 4).double()[y] / 5
    signal[:4] = 0
    torch.testing.assert_close(model.layers[0].bias.grad, (signal * (1 - h1**2)).sum(0), rtol=1e-6, atol=1e-9)


def test_local_losses_do_not_know_what_lies_above():
    """Changing an upper layer leaves the lower gradients as they are."""
    model = net()
    step("local", model, DATA)
    found = gradients(model)
    other = net()
    with torch.no_grad():
        other.layers[1].weight.mul_(-2)
    step("local", other, DATA)
    assert torch.equal(gradients(other)["layers.0.weight"], found["layers.0.weight"])
    assert not torch.allclose(gradients(other)["layers.1.weight"], found["layers.1.weight"])


def test_a_decoder_that_is_the_rest_of_the_network_is_backprop():
    """At the last point, with D = W_o; and D's gradient is W_o's own."""
    model = net()
    method = make_method("local", model).double()
    decoder = method.losses.decoders["points/1"]
    decoder.load_state_dict(model.layers[2].state_dict())
    take_step(method, model, DATA)
    truth = gradients_by("bp", DATA)
    torch.testing.assert_close(model.layers[1].weight.grad, truth["layers.1.weight"])
    torch.testing.assert_close(decoder.weight.grad, truth["layers.2.weight"])


@pytest.mark.parametrize("options", [{}, {"decoder": "mlp"}, {"similarity": 0.5}])
def test_going_backward_early_changes_nothing(options):
    """eager frees memory; without it it could also free gradients."""
    early, late = net(), net()
    a = make_method("local", early, **options).double()
    b = make_method("local", late, eager=False, **options).double()
    take_step(a, early, DATA)
    take_step(b, late, DATA)
    assert_same(gradients(early), gradients(late))
    assert_same(gradients(a.losses), gradients(b.losses))
    assert all(p.grad is not None and p.grad.any() for p in a.losses.parameters())


def test_decoders_are_learned_and_saved():
    """Without it a resumed training would start its decoders anew."""
    model = net()
    method = make_method("local", model, decoder_lr=0.01)
    names = {name for name, _ in method.named_parameters()}
    assert names and names <= method.state_dict().keys()
    [group] = method.parameter_groups()
    assert group["lr"] == 0.01 and len(group["params"]) == len(names)
    assert "lr" not in make_method("local", net()).parameter_groups()[0]


@pytest.mark.parametrize("name", sorted({*registered_methods()} - {"bp_recompute", "structural"}))  # of other networks
def test_making_a_method_seeds_no_device(name, monkeypatch):
    """Without it dropout on an accelerator would depend on the method: seeding one generator there seeds them all."""
    model, seeded = net(), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    make_method(name, model)
    assert seeded == []


@pytest.mark.parametrize("name", ["drtp", "local"])
def test_a_task_that_lacks_something_is_told(name):
    model = net()
    with pytest.raises(FeedbackError, match="needs the task's"):
        make_method(name, model).step(closure_of(model, DATA))
