"""Frozen weights are replaced as learning ones are, or refused as these are: autograd's graph does not have them."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, WeightTransport, derived_weight, make_method
from tests.helpers.engine_nets import assert_same, gradients

METHODS = ["fa", "sign_symmetry", "kolen_pollack"]
X, Y = torch.linspace(-1, 1, 30).reshape(6, 5), torch.arange(6) % 3


class Layered(nn.Module):
    """A layer between two others; its input is an activation."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.layer, self.last = nn.Linear(5, 8), layer, nn.Linear(8, 3)
        for p in layer.parameters():
            nn.init.normal_(p, std=0.3)
        self.point, self.tap = FeedbackPoint(8), ErrorTap(3)

    def forward(self, x):
        return self.tap(self.last(self.layer(self.point(torch.tanh(self.first(x))))))


class Use(nn.Module):
    """A layer given by its function of an input and a weight."""

    def __init__(self, function) -> None:
        super().__init__()
        self.weight, self.function = nn.Parameter(torch.empty(8, 8)), function

    def forward(self, h):
        return self.function(h, self.weight)


class Lora(nn.Module):
    """A base weight and a learning correction of low rank."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8))
        self.down, self.up = nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)

    def forward(self, h):
        return F.linear(h, self.weight) + self.up(self.down(h))


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(2, 2, 3, padding=1)

    def forward(self, h):
        return self.convolution(h.unflatten(1, (2, 4))).flatten(1)


class Recurrent(nn.Module):
    def __init__(self, kind) -> None:
        super().__init__()
        self.cell = kind(2, 8, batch_first=True)

    def forward(self, h):
        return self.cell(h.unflatten(1, (4, 2)))[0][:, -1]


class Begun(nn.Module):
    """A recurrent layer whose initial state is a parameter, laid out anew for each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.weight = nn.LSTM(2, 8, batch_first=True), nn.Parameter(torch.empty(1, 8))

    def forward(self, h):
        state = self.weight.repeat(len(h), 1)[None]
        return self.cell(h.unflatten(1, (4, 2)), (state, state))[0][:, -1]


def spread(h, w):
    """Several views on the way: heads, as attention has them."""
    heads = w.unflatten(0, (2, 4)).transpose(1, 2)  # (head, input, output)
    return torch.cat([h @ heads[0], h @ heads[1]], 1)


class Same(WeightTransport):
    def backward_weight(self, name, weight):
        return weight.clone()


class Twice(WeightTransport):
    def backward_weight(self, name, weight):
        return 2 * weight


def frozen_matrices(layer: nn.Module) -> None:
    for name, p in layer.named_parameters():
        if p.ndim > 1 and not name.startswith(("down", "up")):
            p.requires_grad_(False)


def outcome(method, layer, frozen: bool, amp: bool, dtype=torch.bfloat16):
    """The gradients of what learns, or "refused"."""
    model = Layered(layer())
    if frozen:
        frozen_matrices(model.layer)
    made = make_method(method, model) if isinstance(method, str) else method(model)

    def closure():
        with torch.autocast("cpu", dtype, enabled=amp):
            return F.cross_entropy(model(X).float(), Y)

    try:
        made.step(closure)
    except FeedbackError as error:
        assert "weight" in str(error), error
        return "refused"
    matrices = {name for name, p in model.layer.named_parameters(prefix="layer") if not p.requires_grad}
    return {name: gradient for name, gradient in gradients(model).items() if name not in matrices}


LAYERS = {
    "linear": lambda: nn.Linear(8, 8),
    "convolution": Convolved,
    "lora": Lora,
    **{kind.__name__: lambda kind=kind: Recurrent(kind) for kind in (nn.RNN, nn.GRU, nn.LSTM)},
    "begun": Begun,
    "views": lambda: Use(spread),
    "cast by hand": lambda: Use(lambda h, w: F.linear(h.double(), w.double()).float()),
    "cast, then cut": lambda: Use(lambda h, w: (h.double() @ w.t().double()[:, 1:7]).float().repeat(1, 2)[:, :8]),
    "declared": lambda: Use(lambda h, w: F.linear(h, derived_weight(torch.tanh, w))),
    "declared view": lambda: Use(lambda h, w: F.linear(h, derived_weight(lambda v: v.t().contiguous(), w))),
}
#: Under autocast these are refused if the weight learns.
EAGER_ONLY = {"views", "cast by hand", "cast, then cut", "declared", "declared view"}


@pytest.mark.parametrize("method", [*METHODS, Twice])
@pytest.mark.parametrize(
    ("layer", "amp"),
    [(layer, False) for layer in LAYERS] + [(layer, True) for layer in LAYERS if layer not in EAGER_ONLY],
)
def test_the_others_learn_as_if_it_were_not_frozen(method, layer, amp):
    """Autocast's copy of a frozen weight has no history; it was taken for data, and backprop's weight transported."""
    free, frozen = (outcome(method, LAYERS[layer], freeze, amp) for freeze in (False, True))
    if free == "refused":
        assert frozen == "refused"
        return
    assert frozen != "refused"
    assert_same(frozen, {name: free[name] for name in frozen}, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("amp", [False, True])
def test_twice_the_weight_sends_twice_the_error(amp):
    """The formula itself: two layers lie between the first one and the tap."""
    layer = lambda: nn.Linear(8, 8, bias=False)  # noqa: E731
    model = Layered(layer())
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        loss = F.cross_entropy(model(X).float(), Y)
    (true,) = torch.autograd.grad(loss, model.first.weight)
    found = outcome(Twice, layer, frozen=True, amp=amp)["first.weight"]
    torch.testing.assert_close(found, 4 * true, rtol=2e-2 if amp else 1e-5, atol=1e-4 if amp else 1e-7)


REFUSED = {
    "a copy": lambda h, w: F.linear(h, w * 1.0),
    "a contiguous copy": lambda h, w: h @ w.t().contiguous(),
    "computed": lambda h, w: F.linear(h, torch.tanh(w)),
    "masked by data": lambda h, w: F.linear(h, w * torch.eye(8)),
    "joined": lambda h, w: F.linear(h, torch.cat([w[:4], w[4:]])),
    "stacked": lambda h, w: F.linear(h, torch.stack(list(w))),
    "in blocks": lambda h, w: F.linear(h, torch.block_diag(w[:4, :4], w[4:, 4:])),
    "gathered": lambda h, w: F.linear(h, w[torch.arange(8)]),
    "selected": lambda h, w: F.linear(h, w.index_select(0, torch.arange(8))),
    "changed in its cast": lambda h, w: F.linear(h.double(), w.double().mul_(2)).float(),
    "a gate": lambda h, w: h * torch.sigmoid(w[:6]),
    "in a checkpoint": lambda h, w: checkpoint(lambda x: F.linear(x, w), h, use_reentrant=False),
    "a cast in a checkpoint": lambda h, w: checkpoint(
        lambda x: F.linear(x.double(), w.double()).float(), h, use_reentrant=False
    ),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("use", REFUSED)
def test_what_cannot_be_followed_is_refused(use, frozen):
    assert outcome("fa", lambda: Use(REFUSED[use]), frozen, amp=False) == "refused"


KEPT = {
    "positions": lambda h, w: h + (w * 0.5)[:6],
    "joined to activations": lambda h, w: torch.cat([h, w[:6] * 2], 1)[:, :8],
    "a mask": lambda h, w: h * (w > 0).float()[:6],
    "an input": lambda h, w: h + (torch.tanh(w[:6]) @ torch.ones(8, 8)),
    "noise through it": lambda h, w: h * (torch.ones(6, 8) @ w),
}


@pytest.mark.parametrize("use", KEPT)
def test_a_frozen_parameter_that_is_no_weight_keeps_its_place(use):
    """Otherwise tables of positions, masks and fixed inputs could not be frozen."""
    found = outcome(Same, lambda: Use(KEPT[use]), frozen=True, amp=False)
    model = Layered(Use(KEPT[use]))
    frozen_matrices(model.layer)
    F.cross_entropy(model(X), Y).backward()
    true = gradients(model)
    assert_same(found, {name: true[name] for name in found}, rtol=1e-5, atol=1e-7)


def test_a_frozen_table_that_is_used_as_a_weight_is_refused():
    class Scored(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(8, 8)

        def forward(self, h):
            return F.linear(h, self.table.weight)

    assert outcome("fa", Scored, frozen=False, amp=False) == "refused"
    assert outcome("fa", Scored, frozen=True, amp=False) == "refused"


@pytest.mark.parametrize("rows", [False, True])
def test_rows_of_a_frozen_table_are_data(rows):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(9, 8)

        def forward(self, h):
            return h * self.table(torch.arange(6))

    found = outcome(Same, Gated, frozen=True, amp=rows)
    assert found != "refused"


def test_a_frozen_layer_above_the_tap_is_not_touched():
    torch.manual_seed(0)
    head = nn.Linear(3, 3).requires_grad_(False)
    model = Layered(nn.Linear(8, 8))
    found = []
    for use in (
        head,
        lambda h: checkpoint(head, h, use_reentrant=False),
        lambda h: F.linear(h, head.weight * 1.0, head.bias),
    ):
        both = nn.ModuleList([model, head])
        method = make_method("fa", both)
        model.zero_grad()
        method.step(lambda use=use: F.cross_entropy(use(model(X)), Y))
        found.append(gradients(model))
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])


def test_a_frozen_backbone_costs_nothing_and_asks_for_nothing():
    """No gradient goes through it, so it may be written in any way."""

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.w, self.v = nn.Parameter(torch.randn(5, 5)), nn.Parameter(torch.randn(5, 5))
            self.requires_grad_(False)
            self.head = Layered(nn.Linear(8, 8))

        def forward(self, x):
            h = torch.tanh(F.linear(x, self.w * 2))
            assert not h.requires_grad
            return self.head(checkpoint(F.linear, h, self.v.double().float(), use_reentrant=False))

    model = Backbone()
    method = make_method("fa", model)
    method.step(lambda: F.cross_entropy(model(X), Y))
    assert method.replaced == {"head.layer.weight", "head.last.weight"}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_complex_weight_may_be_used_as_its_conjugate(frozen):
    class Fourier(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(5, 5, dtype=torch.cfloat))

        def forward(self, h):
            return torch.fft.irfft(torch.fft.rfft(h) @ self.weight.mH @ self.weight.conj(), n=8)

    found = outcome(Same, Fourier, frozen, amp=False)
    model = Layered(Fourier())
    if frozen:
        frozen_matrices(model.layer)
    F.cross_entropy(model(X), Y).backward()
    true = gradients(model)
    assert_same(found, {name: true[name] for name in found}, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("declared", [False, True])
def test_a_weight_that_is_seen_in_another_type_is_refused_unless_it_is_declared(frozen, declared):
    def use(h, w):
        pairs = w.unflatten(1, (4, 2))
        matrix = derived_weight(lambda v: torch.view_as_complex(v.unflatten(1, (4, 2))), w) if declared else \
            torch.view_as_complex(pairs)  # fmt: skip
        return (h.to(torch.cfloat) @ matrix).abs().repeat(1, 2)

    found = outcome("fa", lambda: Use(use), frozen, amp=False)
    assert (found == "refused") is not declared


def test_nothing_of_a_pass_outlives_its_step():
    """The copies of a frozen weight are known by their memory, which must not be kept for that."""
    alive = []

    def use(h, w):
        copy = w.double()
        alive.append(weakref.ref(copy))
        return F.linear(h.double(), copy).float()

    outcome("fa", lambda: Use(use), frozen=True, amp=False)
    gc.collect()
    assert alive[0]() is None
