"""Models, loops and habits of other people: exact, or refused in one line that says what to do."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from dfa_core import (
    Classes,
    ErrorTap,
    FeedbackError,
    FeedbackPoint,
    Supervision,
    insert_marks,
    make_method,
    measure_alignment,
)
from tests.helpers.engine_nets import assert_same, gradients

X, Y = torch.linspace(-1, 1, 40, dtype=torch.float64).sin().reshape(8, 5), torch.arange(8) % 3


def net(part: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), nn.Tanh(), FeedbackPoint(8), part or nn.Identity(), nn.Linear(8, 8), nn.Tanh()]
    return nn.Sequential(*layers, FeedbackPoint(8), nn.Linear(8, 3), ErrorTap(3)).double()


def supervision(labels: torch.Tensor, scale: float = 1.0) -> Supervision:
    return Supervision(
        head=lambda tap, scores: F.cross_entropy(scores, labels), targets=lambda tap: Classes(labels, 3), scale=scale
    )


def take_step(name: str, model: nn.Module, x=X, y=Y, **options):
    method = make_method(name, model, **options).to(next(model.parameters()).dtype)
    method.step(lambda: F.cross_entropy(model(x), y), supervision(y))
    return method


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer, self.point = nn.Linear(inputs, outputs), FeedbackPoint(outputs)

    def forward(self, x):
        return self.point(torch.tanh(self.layer(x)))


class Checkpointed(nn.Module):
    """Two points, and a dropout between them, in one region that is recomputed."""

    def __init__(self, recomputes):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.drop, self.b = Block(5, 8), nn.Dropout(0.5), Block(8, 8)
        self.last, self.tap, self.recomputes = nn.Linear(8, 3), ErrorTap(3), recomputes

    def body(self, x):
        return self.b(self.drop(self.a(x)))

    def forward(self, x):
        hidden = checkpoint(self.body, x, use_reentrant=False) if self.recomputes else self.body(x)
        return self.tap(self.last(hidden))


@pytest.mark.parametrize("name", ["bp", "dfa", "bp_recompute"])
def test_checkpointing_around_several_points_is_exact(name):
    found = []
    for recomputes in (False, True):
        model = Checkpointed(recomputes).double()
        torch.manual_seed(7)
        take_step(name, model)
        found.append(gradients(model))
    assert_same(found[1], found[0])


@pytest.mark.parametrize(
    ("name", "options"), [("dfa", {"recompute": True}), ("pepita", {}), ("predictive_coding", {}), ("local", {})]
)
def test_checkpointing_around_several_points_is_refused(name, options):
    """Points that run again in the backward pass would send signals again, or pass on what they did not before."""
    with pytest.raises(FeedbackError, match="ran again in a backward pass"):
        take_step(name, Checkpointed(recomputes=True).double(), **options)


@pytest.mark.parametrize("eager", [True, False])
def test_local_losses_of_a_compiled_model(eager):
    """Else hidden layers would get zeros, and decoders nothing."""
    plain, compiled = net(), net()
    expected = take_step("local", plain)
    method = make_method("local", compiled, eager=eager).double()
    run = torch.compile(compiled, backend="aot_eager")
    method.step(lambda: F.cross_entropy(run(X), Y), supervision(Y))
    assert_same(gradients(compiled), gradients(plain), rtol=1e-9, atol=1e-12)
    for a, b in zip(method.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_a_mark_behind_a_sequence_with_a_forward_pass_of_its_own():
    """The last of its modules is not where it ends: the skip would not be cut."""

    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    model = nn.Sequential(nn.Linear(5, 8), Residual(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 3))
    with pytest.raises(FeedbackError, match="'1' is a Residual, a sequence with a forward pass of its own"):
        insert_marks(model, points={"1": 8}, tap={"2": 3})


def scaled_loss(model: nn.Module, part: slice, scale: float) -> torch.Tensor:
    return scale * F.cross_entropy(model(X[part]), Y[part])


@pytest.mark.parametrize("name", ["dfa", "dkp", "drtp", "local", "directional", "pepita", "predictive_coding", "fa"])
@pytest.mark.parametrize("factor", [1.0, 2.0**16])
def test_micro_batches_and_loss_scaling_keep_the_balance_of_layers(name, factor):
    """Else hidden layers would learn k times as fast beside the output layer, or not at all under `GradScaler`."""
    found = []
    for chunks in ([slice(0, 8)], [slice(0, 4), slice(4, 8)]):
        model = net()
        method = make_method(name, model).double()
        scale = factor / len(chunks)
        method.advance = lambda: None  # the same noise for both parts
        if name == "directional":  # its noise is drawn for each part: only what a whole batch gives can be compared
            chunks, scale = [slice(0, 8)] * len(chunks), factor / len(chunks)
        for part in chunks:
            loss = partial(scaled_loss, model, part, scale)
            method.step(loss, supervision(Y[part], scale))
        named = [*model.named_parameters(), *method.named_parameters()]
        found.append({n: p.grad / factor for n, p in named if p.grad is not None})
    model = net()
    plain = take_step(name, model)
    named = [*model.named_parameters(), *plain.named_parameters()]
    for one in found:
        assert_same(one, {n: p.grad for n, p in named if p.grad is not None}, rtol=1e-7, atol=1e-12)


def test_a_point_that_was_taken_out_is_missed():
    """What lay below it would be trained by backprop."""
    model = net()
    method = make_method("dfa", model)
    model[2] = nn.Identity()
    with pytest.raises(FeedbackError, match="mark '2' was taken out of the model"):
        method.backward(F.cross_entropy(model(X), Y))


def test_a_forward_pass_that_a_library_has_put_in_survives():
    model = nn.Sequential(Block(5, 8), Block(8, 8), nn.Linear(8, 3), ErrorTap(3)).double()
    former = model[0].forward
    model[0].forward = lambda x: 2 * former(x)
    with torch.no_grad():
        before = model(X)
    take_step("bp_recompute", model)
    with torch.no_grad():
        assert torch.equal(model(X), before)


class Positions(nn.Module):
    """Makes its table longer when a longer batch comes, and another buffer when it is first used."""

    def __init__(self, length):
        super().__init__()
        self.register_buffer("table", torch.arange(length).double()[:, None], persistent=False)

    def forward(self, x):
        if len(self.table) < len(x):
            self.register_buffer("table", torch.arange(len(x)).double()[:, None], persistent=False)
        if not hasattr(self, "cache"):
            self.register_buffer("cache", torch.zeros(8, dtype=torch.float64))
        return x + self.table[: len(x)] / 10 + self.cache


@pytest.mark.parametrize("name", ["mezo", "pepita", "predictive_coding", "directional", "forward_gradient", "dfa"])
@pytest.mark.parametrize("length", [1, 4, 20])
def test_buffers_that_a_forward_pass_makes(name, length):
    model = net(Positions(length))
    take_step(name, model)
    assert torch.equal(model[3].table[:, 0], torch.arange(max(length, 8)).double())


@pytest.mark.parametrize("name", ["dfa", "dkp", "fa", "mezo", "pepita"])
def test_measuring_leaves_statistics_and_generators(name):
    """Else a training that is watched would be another one."""
    model = net(nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.5)))
    method, state = make_method(name, model).double(), torch.get_rng_state()
    measure_alignment(method, lambda: F.cross_entropy(model(X), Y))
    assert int(model[3][0].num_batches_tracked) == 0 and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["dkp", "directional", "local", "fa", "kolen_pollack", "sign_symmetry"])
def test_what_needs_the_weights_is_not_made_before_they_are_there(name):
    """Its matrices would be whatever the memory held."""
    with torch.device("meta"), pytest.raises(FeedbackError, match=r"make it after model.to_empty\(device="):
        make_method(name, nn.Sequential(nn.Linear(5, 8), FeedbackPoint(8), nn.Linear(8, 3), ErrorTap(3)))


@pytest.mark.parametrize(("count", "scale"), [(6, float("inf")), (0, 1.0)])
def test_a_compiled_region_takes_an_overflow_and_an_empty_batch(count, scale):
    """`GradScaler` skips a step that overflowed; it must not end the training."""

    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(5, 8)
            self.rest = nn.Sequential(nn.Tanh(), FeedbackPoint(8), nn.Linear(8, 3), ErrorTap(3))

        def forward(self, x):
            h = self.first(x)
            return self.rest(h), h.square().sum()

    model = Aside().double()
    method, run = make_method("dfa", model), torch.compile(model, backend="aot_eager")
    scores, aside = run(X[:count])
    method.backward((F.cross_entropy(scores, Y[:count], reduction="sum") + aside) * scale)
    assert model.first.weight.grad is not None


@pytest.mark.parametrize("name", ["dfa", "mezo", "pepita", "predictive_coding", "fa", "local", "shallow"])
def test_a_loss_for_each_sample_is_refused(name):
    model = net()
    method = make_method(name, model).double()
    with pytest.raises(FeedbackError, match=r"the loss has shape \(8,\): reduce it"):
        method.step(lambda: F.cross_entropy(model(X), Y, reduction="none"), supervision(Y))


@pytest.mark.parametrize(
    ("name", "options"),
    [("dfa", {"error": "ternary"}), ("dfa", {"bits": 4}), ("pepita", {}), ("predictive_coding", {}), ("drtp", {})],
)
def test_an_empty_batch(name, options):
    model = net()
    method = make_method(name, model, **options).double()
    method.step(lambda: F.cross_entropy(model(X[:0]), Y[:0], reduction="sum"), supervision(Y[:0]))
    assert all(not p.grad.any() for p in model.parameters())


def test_nothing_is_learned_from_no_samples():
    """A mean over no samples is NaN, and would stay in the learned feedback for good."""
    for target in ("jacobian", "cosine", "inverse"):
        model = net()
        method = make_method("directional", model, target=target).double()
        method.step(lambda model=model: F.cross_entropy(model(X[:0]), Y[:0], reduction="sum"))
        assert all(p.grad is None or not p.grad.any() for p in method.parameters())


def test_a_point_that_counts_other_samples_than_its_tap_is_named():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.p, self.b, self.q = nn.Linear(5, 8), FeedbackPoint(8, 2), nn.Linear(8, 8), FeedbackPoint(8, 2)
            self.c, self.t = nn.Linear(8, 3), ErrorTap(3)

        def forward(self, x):
            return self.t(self.c(self.q(self.b(self.p(self.a(x)))).mean(1)))

    model = Pooled().double()
    with pytest.raises(FeedbackError, match=r"'p' has batch shape \(4, 2\), its error tap \(4,\): declare"):
        make_method("pepita", model).step(lambda: F.cross_entropy(model(X.reshape(4, 2, 5)), Y[:4]))


@pytest.mark.parametrize("name", ["dfa", "mezo"])
def test_measuring_takes_sparse_embeddings(name):
    model = nn.Sequential(nn.Embedding(9, 8, sparse=True), FeedbackPoint(8), nn.Linear(8, 3), ErrorTap(3))
    dense = nn.Sequential(nn.Embedding(9, 8), *list(model)[1:])
    dense[0].weight = model[0].weight
    found = [
        measure_alignment(make_method(name, one), lambda one=one: F.cross_entropy(one(Y), Y)).parameters
        for one in (dense, model)
    ]
    assert found[1] == pytest.approx(found[0])
