"""Whole training steps: several passes, precision, optimizers, clipping, resuming, and the import itself."""

from __future__ import annotations

import copy
import subprocess
import sys
import weakref

import pytest
import torch
from torch import nn

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, Residual, make_method
from tests.helpers.engine_nets import Net, assert_same, batch, build, gradients, mse


def test_two_chunks_are_one_batch():
    """Without it a chunked forward (NeRF's) would keep the last chunk's activations for all."""
    model, data = build(5, 7, 6, 3), batch(8, 5, 3)
    method = make_method("dfa", model)
    method.backward(mse(model, data))
    whole = gradients(model)
    model.zero_grad()
    method.backward((mse(model, (data[0][:4], data[1][:4])) + mse(model, (data[0][4:], data[1][4:]))) / 2)
    assert_same(gradients(model), whole, rtol=1e-5, atol=1e-7)


def test_coarse_and_fine_keep_their_points_apart():
    """Without it the two networks of a NeRF would swap errors, although each alone passes every test."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.coarse, self.fine = build(5, 7, 3, seed=1), build(5, 8, 3, seed=2)

        def forward(self, x):
            return self.coarse(x) + 2 * self.fine(x + self.coarse.layers[0].weight.detach().mean())

    pair, data = Pair(), batch(4, 5, 3)
    method = make_method("dfa", pair)
    method.backward(mse(pair, data))
    x, error = data[0], 2 * (pair(data[0]) - data[1]).detach() / 12
    method.reset()
    for name, inputs, scale in (
        ("coarse", x, 1),
        ("fine", x + pair.coarse.layers[0].weight.detach().mean(), 2),
    ):
        net = getattr(pair, name)
        slope = 1 - torch.tanh(net.layers[0](inputs)).detach() ** 2
        expected = (scale * error @ method.matrix(f"{name}.points.0") * slope).T @ inputs
        torch.testing.assert_close(net.layers[0].weight.grad, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["bp", "dfa", "shallow"])
def test_bf16_autocast_agrees_within_its_error(name):
    """Without it autocast would end in a dtype error, or train on a signal rounded somewhere it need not be."""
    model, data = build(16, 32, 32, 4), batch(64, 16, 4)
    method = make_method(name, model)
    method.backward(mse(model, data))
    exact = gradients(model)
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        loss = mse(model, data)
    method.backward(loss)
    for key, gradient in gradients(model).items():
        assert (gradient is None) == (exact[key] is None)
        if gradient is not None:
            assert gradient.dtype == torch.float32
            assert (gradient - exact[key]).norm() < 0.03 * exact[key].norm(), key


def _train(model, method, optimizer, steps, start=0):
    for step in range(start, start + steps):
        optimizer.zero_grad()
        torch.manual_seed(step)
        method.backward(mse(model, batch(8, 5, 3, seed=step)))
        optimizer.step()


def test_restored_mid_training_continues_bit_for_bit():
    """Without it a resumed run would draw new feedback: alignment would start anew, only the curve would show
    it.
    """

    def fresh(feedback_seed):
        model = build(5, 7, 6, 3, seed=feedback_seed, dropout=0.2)
        return (
            model,
            make_method("dfa", model, feedback_seed=feedback_seed),
            torch.optim.Adam(model.parameters()),
        )

    straight = fresh(0)
    _train(*straight, 6)
    first = fresh(0)
    _train(*first, 3)
    saved = copy.deepcopy([part.state_dict() for part in first])
    second = fresh(1)  # another seed: everything must come from the state dicts
    for part, state in zip(second, saved, strict=True):
        part.load_state_dict(state)
    _train(*second, 3, start=3)
    for a, b in zip(straight[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["fa", "drtp", "pepita"])
def test_a_state_of_other_feedback_is_refused(name, tmp_path):
    """Feedback that is drawn when it is needed is not in the state: training would have gone on with another one."""
    first, second, other = (make_method(name, build(5, 7, 6, 3), feedback_seed=seed) for seed in (4, 4, 9))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    second.load_state_dict(state)
    with pytest.raises(FeedbackError, match=r"with feedback_seed=4, .* other feedback than feedback_seed=9: make"):
        other.load_state_dict(state)
    other.load_state_dict(dict(state))  # of a version that did not name it


@pytest.mark.parametrize("options", [{"foreach": True}, {"fused": True}])
def test_clipping_and_fused_optimizers(options):
    """Without it a gradient that is a view of the shared projection could be clipped or stepped in place
    twice.
    """
    results = []
    for extra in (options, {"foreach": False}):
        model = build(5, 7, 7, 3, act=lambda a: a)
        method, optimizer = make_method("dfa", model), torch.optim.Adam(model.parameters(), lr=0.1, **extra)
        for step in range(3):
            optimizer.zero_grad()
            method.backward(mse(model, batch(8, 5, 3, seed=step)))
            nn.utils.clip_grad_norm_(model.parameters(), 0.05)
            norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
            assert norm <= 0.05 * 1.001
            optimizer.step()
        results.append(dict(model.named_parameters()))
    assert_same(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_gradients_accumulate_over_steps():
    """Without it micro-batches would overwrite each other's gradient."""
    model, data = build(5, 7, 3), batch(8, 5, 3)
    method = make_method("dfa", model)
    method.backward(mse(model, data))
    once = gradients(model)
    method.backward(mse(model, data))
    assert_same(gradients(model), {name: 2 * g for name, g in once.items()})


def test_a_step_frees_what_it_kept():
    """Without it every step would keep its activations alive until memory runs out."""
    import weakref

    model, data = build(5, 7, 3), batch(4, 5, 3)
    kept: list[weakref.ref[torch.Tensor]] = []
    model.layers[0].register_forward_hook(lambda _m, _i, out: kept.append(weakref.ref(out)))
    method = make_method("dfa", model)
    loss = mse(model, data)
    method.backward(loss)
    del loss
    assert kept[0]() is None


def test_the_engine_imports_alone():
    """Without it `pip install` of the engine would need Hydra, pandas, wandb or PyG."""
    code = (
        "import sys, dfa_core; "
        "found = {'hydra', 'omegaconf', 'pandas', 'wandb', 'torch_geometric', 'sklearn', 'benchmarks'}"
        " & set(sys.modules); sys.exit(', '.join(found) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_dfa_learns_what_shallow_cannot():
    """Without it all formulas could hold and the method still not train: the ordering is what it is for."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(512, 2, generator=generator) * 4 - 2
    y = torch.stack([(x[:, 0] * x[:, 1] > 0), (x[:, 0] * x[:, 1] <= 0)], 1).float() - 0.5  # exclusive or
    final = {}
    for name in ("bp", "dfa", "shallow"):
        torch.manual_seed(0)
        model = Net(2, 12, 12, 2)
        method, optimizer = make_method(name, model), torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(200):
            optimizer.zero_grad()
            loss = mse(model, (x, y))
            method.backward(loss)
            optimizer.step()
        final[name] = loss.item()
    assert final["bp"] < final["dfa"] < 0.7 * final["shallow"], final


@pytest.mark.parametrize("name", ["bp", "dfa", "structural"])
def test_a_backward_pass_frees_activations_as_it_goes(name):
    """Without it the step would hold every activation to its end, beside all gradients: 1.6 times backprop's memory."""
    layers = [nn.Sequential(nn.Linear(4, 4), nn.ReLU(), FeedbackPoint(4, structure=Residual())) for _ in range(3)]
    model = nn.Sequential(*layers, ErrorTap(4))
    method = make_method(name, model)
    seen, alive = [], []
    for layer in layers:
        layer[2].register_forward_pre_hook(lambda module, inputs: seen.append(weakref.ref(inputs[0])))
    first = layers[0][0].weight
    first.register_hook(lambda gradient: alive.extend(ref() is not None for ref in seen))
    method.backward(model(torch.randn(5, 4)).square().mean())
    assert first.grad is not None and alive == [False] * 3


@pytest.mark.parametrize("name", ["dfa", "shallow", "dkp", "directional", "forward_gradient", "pepita", "fa"])
def test_a_closure_that_broke_off_does_not_spoil_the_next_step(name):
    """Without it a loop that skips a batch which fails would hear of a point that ran twice, one step later."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    method = make_method(name, model)
    method.step(lambda: mse(model, data))
    expected = gradients(model)
    method = make_method(name, model)
    for layer in (2, 1):
        handle = model.layers[layer].register_forward_pre_hook(_break_off)
        with pytest.raises(MemoryError):
            method.step(lambda: mse(model, data))
        handle.remove()
    model.zero_grad()
    method.step(lambda: mse(model, data))
    assert_same(gradients(model), expected)


def _break_off(module, inputs):
    raise MemoryError


@pytest.mark.parametrize("name", ["dfa", "fa", "pepita", "predictive_coding"])
def test_a_step_without_gradients_says_so(name):
    """Without it `pepita` would end in PyTorch's error, and predictive coding blame the closure."""
    model, data = build(5, 7, 6, 3), batch(9, 5, 3)
    with torch.no_grad(), pytest.raises(FeedbackError, match="with gradients enabled"):
        make_method(name, model).step(lambda: mse(model, data))
