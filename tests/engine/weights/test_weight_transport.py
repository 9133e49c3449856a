"""Family b against its formula and its identities, in fp64."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, WeightTransport, derived_weight, make_method
from tests.engine.methods.nets import classification, closure_of, gradients_by, net, step, take_step
from tests.helpers.engine_nets import assert_same, gradients

DATA = classification()
CLOSE = {"rtol": 1e-12, "atol": 1e-14}


class ItsOwnWeights(WeightTransport):
    """B = W."""

    def backward_weight(self, name, weight):
        return weight


def attached(method, *widths, **options):
    model = net(*widths, **options)
    return method(model), model


def test_with_its_own_weights_it_is_backprop():
    """Without it weights could be replaced where none may be: above the tap, or in the gradient of another weight."""
    method, model = attached(ItsOwnWeights)
    take_step(method, model, DATA)
    assert_same(gradients(model), gradients_by("bp", DATA))
    assert method.replaced == {"layers.1.weight", "layers.2.weight"}  # the first layer's input needs no gradient


def test_fa_equals_the_chain_of_random_weights():
    """δ_{i-1} = (δ_i B_i) ⊙ φ'(z_{i-1}), written out; without it fa could transport W, or take φ' at another place."""
    model = net()
    method = step("fa", model, DATA)
    found = gradients(model)
    x, y = DATA
    w = [layer.weight.detach() for layer in model.layers]
    b = [layer.bias.detach() for layer in model.layers]
    h1 = torch.tanh(x @ w[0].T + b[0])
    h2 = torch.tanh(h1 @ w[1].T + b[1])
    scores = h2 @ w[2].T + b[2]
    e = (scores.softmax(1) - F.one_hot(y, 4)) / len(y)
    random = {i: method.random_weight(f"layers.{i}.weight", w[i]) for i in (1, 2)}
    d2 = (e @ random[2]) * (1 - h2**2)
    d1 = (d2 @ random[1]) * (1 - h1**2)
    for i, (delta, below) in enumerate([(d1, x), (d2, h1), (e, h2)]):
        torch.testing.assert_close(found[f"layers.{i}.weight"], delta.T @ below, **CLOSE)
        torch.testing.assert_close(found[f"layers.{i}.bias"], delta.sum(0), **CLOSE)


def test_fa_draws_weights_of_the_same_size_that_share_nothing_with_them():
    """Without it signals could vanish or explode with depth, or B could be W in another order."""
    model = net(40, 60, 50, 4)
    method = make_method("fa", model)
    weight = model.layers[1].weight.detach()
    drawn = method.random_weight("layers.1.weight", weight)
    assert drawn.square().mean().sqrt().item() == pytest.approx(weight.square().mean().sqrt().item(), rel=0.05)
    assert abs(torch.corrcoef(torch.stack([drawn.flatten(), weight.flatten()]))[0, 1]) < 0.1
    again = make_method("fa", net(40, 60, 50, 4, seed=5), feedback_seed=0)
    other = make_method("fa", net(40, 60, 50, 4), feedback_seed=1)
    scaled = again.random_weight("layers.1.weight", weight) * method.size("layers.1.weight")
    torch.testing.assert_close(scaled / again.size("layers.1.weight"), drawn)
    assert not torch.allclose(other.random_weight("layers.1.weight", weight), drawn)


def test_fa_that_starts_aligned():
    """B = a W_0 + √(1 − a²) R keeps the initial weights: with a = 1 the first step is backprop's, no later one."""
    model = net()
    method = step("fa", model, DATA, alignment=1.0)
    assert_same(gradients(model), gradients_by("bp", DATA), **CLOSE)
    initial = model.layers[2].weight.detach().clone()
    with torch.no_grad():
        model.layers[2].weight.mul_(2)
    assert torch.equal(method.backward_weight("layers.2.weight", model.layers[2].weight.detach()), initial)


def test_fixed_signs_with_the_weights_own_magnitudes_are_backprop(monkeypatch):
    """|R| = |W| entry by entry; without it signs could be dropped, or taken from R."""
    model = net()
    method = make_method("sign_symmetry", model, magnitude="fixed")
    monkeypatch.setattr(method, "random_weight", lambda name, weight: -weight)
    take_step(method, model, DATA)
    assert_same(gradients(model), gradients_by("bp", DATA), **CLOSE)


@pytest.mark.parametrize("magnitude", ["unit", "fixed", "redrawn"])
def test_signs_follow_the_weights_and_magnitudes_do_not(magnitude):
    """Without it the magnitudes would be transported too."""
    model = net()
    method = make_method("sign_symmetry", model, magnitude=magnitude)
    weight = model.layers[1].weight.detach()
    before = method.backward_weight("layers.1.weight", weight)
    assert torch.equal(before.sign(), weight.sign())
    assert torch.allclose(method.backward_weight("layers.1.weight", -3 * weight), -before)
    method.advance()
    assert torch.equal(method.backward_weight("layers.1.weight", weight), before) == (magnitude != "redrawn")
    if magnitude == "unit":
        assert before.abs().max() == before.abs().min() == method.size("layers.1.weight")


def test_kolen_pollack_without_a_difference_is_backprop():
    """B_0 = W_0 and no decay."""
    model = net()
    method = make_method("kolen_pollack", model, decay=0.0)
    for buffer in method.buffers():
        if buffer.ndim == 2:
            buffer.zero_()
    take_step(method, model, DATA)
    assert_same(gradients(model), gradients_by("bp", DATA), **CLOSE)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_kolen_pollack_equals_the_rule_with_two_copies(optimizer):
    """B ← (1 − λ) B − Δ with the increment Δ that W got, for any optimizer; without it the decay could be lost."""
    decay = 0.1
    model = net()
    method = make_method("kolen_pollack", model, decay=decay)
    trained = optimizer(model.parameters(), lr=0.05)
    name, weight = "layers.1.weight", model.layers[1].weight
    copy = method.backward_weight(name, weight.detach()).clone()
    for _ in range(5):
        before = weight.detach().clone()
        take_step(method, model, DATA)
        trained.step()
        increment = (1 - decay) * before - weight.detach()
        copy = (1 - decay) * copy - increment
        torch.testing.assert_close(method.backward_weight(name, weight.detach()), copy, **CLOSE)
    assert not torch.allclose(copy, weight)


def test_kolen_pollack_decays_only_what_has_a_backward_weight():
    """The first layer needs no B; a decay there would be a regulariser that the rule does not have."""
    model = net()
    first = model.layers[0].weight.detach().clone()
    second = model.layers[1].weight.detach().clone()
    step("kolen_pollack", model, DATA, decay=0.5)
    assert torch.equal(model.layers[0].weight, first)
    torch.testing.assert_close(model.layers[1].weight.detach(), 0.5 * second)


class Copying(nn.Module):
    """A layer that uses its weight through a copy: stacked out of two parameters."""

    def __init__(self, declared: bool) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.point = FeedbackPoint(6)
        self.halves = nn.ParameterList(nn.Parameter(torch.randn(6, 2)) for _ in range(2))
        self.tap = ErrorTap(4)
        self.declared = declared

    def forward(self, x):
        def side_by_side(*halves):
            return torch.cat(halves, dim=1)

        weight = derived_weight(side_by_side, *self.halves) if self.declared else side_by_side(*self.halves)
        return self.tap(self.point(torch.tanh(self.first(x))) @ weight)


def test_a_copy_that_is_declared_is_replaced():
    """The twin of cat(a, b) is cat of the twins."""
    torch.manual_seed(0)
    model = Copying(declared=True).double()
    method = step("fa", model, DATA)
    assert method.replaced == {"halves.0", "halves.1"}
    x, y = DATA
    h = torch.tanh(model.first(x)).detach()
    e = ((h @ torch.cat(list(model.halves), 1)).softmax(1) - F.one_hot(y, 4)).detach() / len(y)
    twin = torch.cat([method.random_weight(f"halves.{i}", p.detach()) for i, p in enumerate(model.halves)], 1)
    torch.testing.assert_close(model.first.bias.grad, ((e @ twin.T) * (1 - h**2)).sum(0), **CLOSE)


def test_a_copy_that_is_not_declared_is_an_error():
    """A silent miss is backprop under another name."""
    model = Copying(declared=False).double()
    with pytest.raises(FeedbackError, match=r"replaced 0 of 2 weights, but not halves\.0, halves\.1"):
        step("fa", model, DATA)


def test_checkpointing_is_an_error():
    """Recomputed layers save their weights where nothing replaces them."""

    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.inner, x.detach().requires_grad_(), use_reentrant=False)

    model = Checkpointed()
    with pytest.raises(FeedbackError, match=r"error tap 'inner\.tap' ran in the backward pass|replaced 0 of"):
        step("fa", model, DATA)


def test_a_compiled_model_runs_in_eager_mode():
    """Compiled code may keep its weights where nothing replaces them."""
    model = net()
    method = make_method("fa", model)
    method.step(closure_of(torch.compile(model, backend="aot_eager"), DATA))
    assert_same(gradients(model), gradients_by("fa", DATA))


def test_parametrized_weights_are_refused():
    """The gradient of a norm and a direction needs both as they are."""
    model = net()
    torch.nn.utils.parametrizations.weight_norm(model.layers[1])
    with pytest.raises(FeedbackError, match=r"layers\.1.*computes its weight"):
        make_method("fa", model)


def test_a_loss_of_hidden_activations_is_refused():
    """Its gradient would go through replaced weights, too."""
    model = net()
    method = make_method("fa", model)

    def penalised():
        hidden = model.layers[0](DATA[0])
        return F.cross_entropy(model.tap(model.layers[2](torch.relu(model.layers[1](hidden)))), DATA[1]) + hidden.mean()

    with pytest.raises(FeedbackError, match="reads an activation below"):
        method.step(penalised)


def test_half_precision_replaces_the_copies_that_autocast_makes():
    """Without it a weight in bf16 would keep its place: its copy shares no memory with it."""
    model = net().float()
    method = ItsOwnWeights(model)
    x, y = DATA[0].float(), DATA[1]

    def loss():
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy(model(x), y)

    method.step(loss)
    found = gradients(model)
    assert method.replaced == {"layers.1.weight", "layers.2.weight"}
    model.zero_grad(set_to_none=True)
    make_method("bp", model).step(loss)
    assert_same(found, gradients(model))


def test_backward_alone_says_what_to_call():
    """The forward pass is over, and every weight is saved already."""
    model = net()
    method = make_method("fa", model)
    for call in (method.backward, method.wrap):
        with pytest.raises(FeedbackError, match=r"call method\.step\(closure\)"):
            call(closure_of(model, DATA)())


def test_above_the_tap_the_gradient_is_the_true_one():
    """Weights are replaced below the tap alone: a head of two layers learns as under backprop."""

    class Headed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = net(5, 7, 6)
            self.head = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()

        def forward(self, x):
            return self.head(torch.tanh(self.body(x)))

    found = []
    for name in ("fa", "bp"):
        torch.manual_seed(0)
        model = Headed()
        step(name, model, DATA)
        found.append(gradients(model))
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name]) == (name.startswith("head") or name.startswith("body.layers.1"))


class Tied(nn.Module):
    """Token ids → scores, by the table that embedded them: held by a layer of its own, or used where it stands."""

    def __init__(self, by_layer: bool) -> None:
        super().__init__()
        self.table, self.point = nn.Embedding(4, 6), FeedbackPoint(6)
        self.hidden, self.out = nn.Linear(6, 6), nn.Linear(6, 4, bias=False) if by_layer else None
        self.tap = ErrorTap(4)
        if self.out is not None:
            self.out.weight = self.table.weight

    def forward(self, ids):
        h = self.point(torch.tanh(self.hidden(self.table(ids))))
        return self.tap(self.out(h) if self.out is not None else F.linear(h, self.table.weight))


def test_a_table_that_is_a_layers_weight_too_is_replaced():
    """Tied matrices below the tap: without it the upper layer would be backprop, unseen."""
    model = Tied(by_layer=True).double()
    method = step("fa", model, (DATA[1], DATA[1]))
    assert method.replaced == {"hidden.weight", "table.weight"}


def test_a_table_that_is_used_as_a_weight_where_it_stands_is_an_error():
    """Nobody could know before that it would be one."""
    with pytest.raises(FeedbackError, match=r"but not table\.weight"):
        step("fa", Tied(by_layer=False).double(), (DATA[1], DATA[1]))


class _Sum(nn.Module):
    """A linear map by the sum of two weights, behind positions that are added to its input."""

    def __init__(self):
        super().__init__()
        self.positions = nn.Parameter(torch.randn(6, 6, dtype=torch.float64))
        self.weights = nn.ParameterList(torch.randn(6, 6, dtype=torch.float64) for _ in range(2))

    def forward(self, x):
        return x @ (self.weights[0] + self.weights[1])


def test_a_sum_of_weights_is_not_overlooked():
    """It is a copy as any other; without it backprop would go through it, unseen."""
    model = nn.Sequential(nn.Linear(4, 6).double(), nn.Tanh(), _Sum(), FeedbackPoint(6), nn.Linear(6, 3).double(),
                          ErrorTap(3))  # fmt: skip
    method = make_method("fa", model)
    with pytest.raises(FeedbackError, match=r"not 2\.weights\.0, 2\.weights\.1"):
        method.step(lambda: model(torch.randn(5, 4, dtype=torch.float64)).sum())


def test_a_weight_that_is_added_needs_no_replacement():
    """Learned positions: the gradient of what they are added to does not know them."""

    class Positions(_Sum):
        def forward(self, x):
            return (x + self.positions) @ self.weights[0]

    model = nn.Sequential(nn.Linear(4, 6).double(), nn.Tanh(), Positions(), FeedbackPoint(6), nn.Linear(6, 3).double(),
                          ErrorTap(3))  # fmt: skip
    method = make_method("fa", model)
    method.step(lambda: model(torch.randn(6, 4, dtype=torch.float64)).sum())
    assert method.replaced == {"2.weights.0", "4.weight"}
