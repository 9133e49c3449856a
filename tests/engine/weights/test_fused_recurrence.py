"""Methods with weights of their own on the way back, on recurrent layers that run as one operation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfa_core import ErrorTap, FeedbackError, make_method
from dfa_core.families.saved_weights import SavedWeights
from tests.helpers.engine_nets import assert_same, gradients

STEPS, SAMPLES = 4, 3
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # the fused layer of the CPU is fp32
KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Fused(nn.Module):
    """x: (steps, samples, 5)."""

    def __init__(self, kind: str = "lstm", learned: bool = False, fed: bool = False, **options) -> None:
        super().__init__()
        self.r, self.o, self.tap = KINDS[kind](5, 6, **options), nn.Linear(6, 3), ErrorTap(3, batch_dims=2)
        self.h0 = nn.Parameter(torch.randn(self.r.num_layers, 1, 6)) if learned else None
        self.first = nn.Linear(5, 5) if fed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        state = None
        if self.h0 is not None:
            h0 = self.h0.expand(-1, x.shape[1], -1)
            state = (h0, torch.zeros_like(h0)) if isinstance(self.r, nn.LSTM) else h0
        return self.tap(self.o(self.r(self.first(x), state)[0]))


class Unrolled(Fused):
    """The same network, a step at a time: layer by layer, gates in PyTorch's order."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in range(self.r.num_layers):
            w_ih, w_hh, b_ih, b_hh = (getattr(self.r, f"{n}_l{layer}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))  # fmt: skip  # noqa: E501
            c = x.new_zeros(x.shape[1], 6)
            h = c if self.h0 is None else self.h0[layer].expand(x.shape[1], -1)
            states = []
            for step in x.unbind():
                i, f, g, o = (step @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                states.append(h)
            x = torch.stack(states)
        return self.tap(self.o(x))


def data(steps: int = STEPS) -> Tensor:
    return torch.randn(steps, SAMPLES, 5, generator=torch.Generator().manual_seed(1))


def after_a_step(cls, name: str, steps: int = STEPS, method_options=None, **options):
    torch.manual_seed(0)
    model = cls(**options)
    method = make_method(name, model, **(method_options or {}))
    method.step(lambda: model(data(steps)).square().mean())
    return model, method


@pytest.mark.parametrize("name", ["fa", "sign_symmetry", "kolen_pollack"])
@pytest.mark.parametrize("options", [{}, {"fed": True}, {"num_layers": 2}])
def test_a_fused_layer_is_the_unrolled_network(name, options):
    """Without it the states of a layer fed by data would go back through its true recurrent weight, or be forgotten."""
    fused, unrolled = after_a_step(Fused, name, **options), after_a_step(Unrolled, name, **options)
    assert fused[1].replaced == unrolled[1].replaced
    assert_same(gradients(fused[0]), gradients(unrolled[0]), **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, STEPS])
def test_kolen_pollack_decays_recurrent_weights(kind, steps):
    """From the second step on there is a state to send an error to; the weight of the data has no B."""
    torch.manual_seed(0)
    before = Fused(kind).state_dict()
    model, method = after_a_step(Fused, "kolen_pollack", steps, {"decay": 0.5}, kind=kind)
    for name, factor in {"r.weight_ih_l0": 1.0, "r.weight_hh_l0": 0.5 if steps > 1 else 1.0, "o.weight": 0.5}.items():
        torch.testing.assert_close(model.state_dict()[name], factor * before[name])
    assert ("r.weight_hh_l0" in method.replaced) == (steps > 1)


@pytest.mark.parametrize("learned", [False, True])
def test_a_learned_state_is_an_input(learned):
    """With B = W all is backprop, and h_0 is not among the weights."""
    options = {"num_layers": 2, "learned": learned}
    model, method = after_a_step(Fused, "fa", method_options={"alignment": 1.0}, **options)
    assert method.replaced == {"o.weight", "r.weight_ih_l1", "r.weight_hh_l0", "r.weight_hh_l1"}
    assert_same(gradients(model), gradients(after_a_step(Fused, "bp", **options)[0]), **CLOSE)


def test_the_recurrent_weights_gradient_reads_the_learned_state():
    """As in the unrolled network: not another state in its place."""
    fused = after_a_step(Fused, "fa", learned=True)[0]
    unrolled = after_a_step(Unrolled, "fa", learned=True)[0]
    assert_same({"r": fused.r.weight_hh_l0.grad}, {"r": unrolled.r.weight_hh_l0.grad}, **CLOSE)


def test_a_recurrent_weight_that_is_missed_is_an_error(monkeypatch):
    """Without it the check would know nothing of what happens within the operation."""
    recognised = SavedWeights.recognised

    def blind(self, tensor):
        found = recognised(self, tensor)
        return None if found is not None and found.source == "r.weight_hh_l0" else found

    monkeypatch.setattr(SavedWeights, "recognised", blind)
    with pytest.raises(FeedbackError, match=r"replaced 1 of 2 weights, but not r\.weight_hh_l0"):
        after_a_step(Fused, "fa")
