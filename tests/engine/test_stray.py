"""Training loops that call ``loss.backward()`` themselves: refused, or given a loss that runs the method."""

from __future__ import annotations

import pytest
import torch

from dfa_core import FeedbackError, make_method
from tests.helpers.engine_nets import WithHead, assert_same, batch, build, gradients, mse

METHODS = ["dfa", "shallow"]


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("inner", [False, True], ids=["method on the outside", "method made before compiling"])
def test_a_stray_backward_raises(name, compiled, inner):
    """Without it a loop that calls loss.backward() would train the top layer alone and say nothing."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    run = torch.compile(model, backend="aot_eager", fullgraph=True) if compiled else model
    method = make_method(name, model if inner else run)
    with pytest.raises(FeedbackError, match=r"call method.backward\(loss\) in place of loss.backward\(\).*wrap"):
        mse(run, data).backward()
    assert all(g is None or not g.any() for g in gradients(model).values())
    method.backward(mse(run, data))
    found = gradients(model)
    model.zero_grad()
    make_method(name, model).backward(mse(model, data))
    for key, g in gradients(model).items():
        assert g is None or torch.allclose(found[key], g, atol=1e-6), key


@pytest.mark.parametrize("name", [*METHODS, "bp"])
def test_a_wrapped_loss_runs_the_method(name):
    """Without it who cannot change the call of backward could not train by anything but backprop."""
    torch.manual_seed(0)
    model, data = WithHead(), batch(9, 5, 3)
    method = make_method(name, model)
    method.backward(mse(model, data))
    once = gradients(model)
    model.zero_grad()
    loss = method.wrap(mse(model, data))
    assert loss.item() == mse(model, data).item()
    loss.backward()
    assert_same(gradients(model), once)
    model.zero_grad()
    for rows in (slice(0, 3), slice(3, 9)):  # scaled micro-batches add up
        part = (data[0][rows], data[1][rows])
        (4 * method.wrap(mse(model, part)) * len(part[0]) / 9).backward()
    assert_same(gradients(model), {k: None if g is None else 4 * g for k, g in once.items()}, rtol=1e-5, atol=1e-7)


def test_a_wrapped_loss_beside_another():
    """Without it the terms beside a wrapped loss would be lost, or trained by the method."""
    model, other, data = build(5, 7, 3), torch.nn.Linear(5, 1), batch(9, 5, 3)
    method = make_method("dfa", model)
    method.backward(mse(model, data))
    expected = gradients(model)
    model.zero_grad()
    (method.wrap(mse(model, data)) + other(data[0]).sum()).backward()
    assert_same(gradients(model), expected)
    torch.testing.assert_close(other.weight.grad, data[0].sum(0, keepdim=True))


def test_a_wrapped_loss_goes_backward_once_and_is_a_scalar():
    """Without it a second call would end in PyTorch's message on freed buffers, a vector in a wrong gradient."""
    model, data = build(5, 7, 3), batch(9, 5, 3)
    method = make_method("dfa", model)
    loss = method.wrap(mse(model, data))
    loss.backward(retain_graph=True)
    with pytest.raises(FeedbackError, match="went backward before"):
        loss.backward()
    for use in (method.wrap, method.backward):
        with pytest.raises(FeedbackError, match=r"shape \(9, 3\): reduce it to a scalar"):
            use(model(data[0]))
    with torch.no_grad():
        assert not method.wrap(mse(model, data)).requires_grad


def test_a_gradient_scaler():
    """Without it the scale would reach what lies above the tap and not the feedback, or the other way round."""
    results = []
    for wrap in (False, True):
        model, data = build(5, 7, 6, 3), batch(9, 5, 3)
        method, optimizer = make_method("dfa", model), torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for _ in range(3):
            optimizer.zero_grad()
            if wrap:
                scaler.scale(method.wrap(mse(model, data))).backward()
            else:
                method.backward(scaler.scale(mse(model, data)))
            scaler.step(optimizer)
            scaler.update()
        results.append(dict(model.named_parameters()))
    plain, data = build(5, 7, 6, 3), batch(9, 5, 3)
    method, optimizer = make_method("dfa", plain), torch.optim.SGD(plain.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        method.backward(mse(plain, data))
        optimizer.step()
    for found in results:
        assert_same(found, dict(plain.named_parameters()), rtol=1e-5, atol=1e-7)
