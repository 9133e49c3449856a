"""Passes that read what an earlier pass's tap returned: its error holds what comes back through them.

The oracle is plain autograd on the sum that docs/engine.md has: T = L + Σ_i ⟨B_i e_i, h_i⟩, with what points pass on
held constant and e_i = ∂T/∂(output) at the tap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dfa_core import ErrorTap, FeedbackError, FeedbackPoint, Supervision, make_method, measure_alignment
from tests.engine.methods.nets import replaced
from tests.helpers.engine_nets import Net, assert_same, batch, gradients

CLOSE = {"rtol": 1e-9, "atol": 1e-12}
X, TARGET = (part.double() for part in batch(8, 5, 4))


class Refinement(nn.Module):
    """y ← f([x, y]), y ← y + f([x, y]), or y ← tanh(f([x, y])) with the tap in front of tanh; three times."""

    def __init__(self, skip: bool = False, last: bool = False, squashed: bool = False) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(9, 7), nn.Linear(7, 4)
        self.point, self.tap = FeedbackPoint(7), ErrorTap(4)
        self.skip, self.last, self.squashed = skip, last, squashed

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs = [x.new_zeros(len(x), 4)]
        for _ in range(3):
            y = outputs[-1]
            change = self.leave(self.point(torch.tanh(self.enter(torch.cat([x, y], 1)))))
            output = self.tap(y + change if self.skip else change)
            outputs.append(torch.tanh(output) if self.squashed else output)
        return outputs[3:] if self.last else outputs[1:]


class Pair(nn.Module):
    """An encoder and a decoder with a tap each, and both outputs in the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Net(5, 7, 6, 4), Net(4, 8, 4)

    def forward(self, x: Tensor) -> list[Tensor]:
        between = self.encoder(x)
        return [between, self.decoder(between)]


MODELS: dict[str, Callable[[], nn.Module]] = {
    "loop": Refinement,
    "loop with a loss on its last output": lambda: Refinement(last=True),
    "skips": lambda: Refinement(skip=True),
    "skips with a loss on their last output": lambda: Refinement(skip=True, last=True),
    "two networks": Pair,
}
# The next pass and the loss read one tensor above the tap, and no leaf stands there.
SQUASHED = "outputs that are squashed above the tap"


def made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return (Refinement(squashed=True) if kind == SQUASHED else MODELS[kind]()).double()


def loss_of(model: nn.Module) -> Tensor:
    return sum((k + 1) * (output - TARGET).square().mean() for k, output in enumerate(model(X)))  # type: ignore[return-value]


def by_backprop(kind: str) -> dict[str, Tensor | None]:
    model = made(kind)
    loss_of(model).backward()
    return gradients(model)


@contextmanager
def watched(model: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Within, points detach, and all marks' tensors are kept in the order in which they ran."""
    seen: list[tuple[str, Tensor]] = []

    def keep(mark: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        out = out.view_as(out)
        seen.append((mark.name, out))
        return out.detach() if isinstance(mark, FeedbackPoint) else out

    marks = [module for module in model.modules() if isinstance(module, FeedbackPoint | ErrorTap)]
    hooks = [mark.register_forward_hook(keep) for mark in marks]
    yield seen
    for hook in hooks:
        hook.remove()


def by_formula(kind: str) -> dict[str, Tensor | None]:
    """The gradients of T."""
    model = made(kind)
    method = make_method("dfa", model).double()
    with method.detached(), watched(model) as seen:
        total = loss_of(model)
    error = torch.empty(0)
    for name, tensor in reversed(seen):
        if name in method.layout.taps:
            (error,) = torch.autograd.grad(total, tensor, retain_graph=True)
        else:
            total = total + ((error @ method.matrix(name)) * tensor).sum()
    model.zero_grad()
    total.backward()
    return gradients(model)


@pytest.mark.parametrize("kind", [*MODELS, SQUASHED])
def test_dfa_follows_the_formula_through_chained_passes(kind):
    """Without it the error of an earlier pass would lack what the later passes hand down, and no message would say."""
    model = made(kind)
    make_method("dfa", model).double().backward(loss_of(model))
    assert_same(gradients(model), by_formula(kind), **CLOSE)


@pytest.mark.parametrize("kind", MODELS)
def test_feedback_alignment_with_the_true_weights_is_backprop(kind):
    """Without it the replaced weights would stop at a later pass's first layer."""
    model = made(kind)
    method = make_method("fa", model)
    with replaced(method, "backward_weight", lambda name, weight: weight):
        method.step(lambda: loss_of(model))
    assert_same(gradients(model), by_backprop(kind), **CLOSE)
    assert "leave.weight" in method.replaced or "encoder.layers.2.weight" in method.replaced


@pytest.mark.parametrize("kind", [*MODELS, SQUASHED])
def test_one_full_step_of_predictive_coding_is_backprop(kind):
    """Without it the identity in its docstring would hold for one pass only."""
    model = made(kind)
    method = make_method("predictive_coding", model, steps=1, rate=1.0, states="feedforward")
    method.step(lambda: loss_of(model))
    assert_same(gradients(model), by_backprop(kind), **CLOSE)


@pytest.mark.parametrize("name", ["forward_gradient", "directional", "pepita"])
def test_methods_that_compare_whole_passes_refuse(name):
    """Without it they would weigh an earlier pass by a part of its error."""
    model = made("two networks")
    model.decoder = Net(4, 8, 6, 4).double()
    method = make_method(name, model).double()
    with pytest.raises(FeedbackError, match=r"reads what error tap '.*' returned.*detach\(\)"):
        method.step(lambda: loss_of(model))
    if name != "pepita":
        with pytest.raises(FeedbackError, match="cannot put together"):
            measure_alignment(method, lambda: loss_of(model))


@pytest.mark.parametrize("kind", MODELS)
def test_recomputing_methods_refuse(kind):
    """Without it the earlier pass would learn from a part of its error alone."""
    method = make_method("dfa", model := made(kind), recompute=True).double()
    with pytest.raises(FeedbackError, match=r"recompute=True cannot put together: detach\(\)"):
        method.step(lambda: loss_of(model))


def test_a_detached_output_keeps_the_passes_apart():
    """Without it the hint of the refusals would be worth nothing, or a sampled input would train its sampler."""
    model = made("two networks")
    method = make_method("dfa", model).double()
    between = model.encoder(X)
    output = model.decoder(between.detach())
    method.backward((between - TARGET).square().mean() + (output - TARGET).square().mean())
    error = 2 * (between - TARGET).detach() / TARGET.numel()
    torch.testing.assert_close(model.encoder.layers[2].bias.grad, error.sum(0), **CLOSE)


def test_every_pass_gets_its_signals_once():
    """Without it a method that learns from its signals would learn twice from one pass."""
    model = made("loop")
    method = make_method("dkp", model).double()
    seen: list[int] = []
    signals_of = method.signals_of
    method.signals_of = lambda passes: seen.extend(one.nth for one in passes) or signals_of(passes)
    method.step(lambda: loss_of(model))
    assert seen == [2, 1, 0]


def test_hooks_of_parameters_see_one_gradient_of_chained_passes():
    """Without it a hook would run once a pass, and DistributedDataParallel would reduce a part."""
    model = made("loop")
    calls: list[Tensor] = []
    model.enter.weight.register_hook(calls.append)
    make_method("dfa", model).double().backward(loss_of(model))
    (seen,) = calls
    torch.testing.assert_close(seen, model.enter.weight.grad)


def test_a_loss_below_the_tap_beside_chained_passes():
    """Without it a penalty would keep the errors from being put together."""

    def closure(model: nn.Module) -> Tensor:
        kept: list[Tensor] = []
        hook = model.enter.register_forward_hook(lambda _m, _i, out: kept.append(out))
        loss = loss_of(model)
        hook.remove()
        return loss + sum(h.pow(4).mean() for h in kept)

    found = []
    for name in ("bp", "predictive_coding"):
        model = made("loop")
        options = {} if name == "bp" else {"steps": 1, "rate": 1.0, "states": "feedforward"}
        make_method(name, model, **options).step(lambda model=model: closure(model))
        found.append(gradients(model))
    assert_same(*found, **CLOSE)


@pytest.mark.parametrize("name", ["dfa", "shallow", "fa"])
def test_a_tap_that_runs_twice_in_series_is_one(name):
    """Without it nothing below would get a gradient."""
    found = []
    for twice in (False, True):
        torch.manual_seed(0)
        model = Net(5, 7, 4).double()
        method = make_method(name, model)
        method.double()

        def closure(model=model, twice=twice):
            output = model(X)
            return ((model.tap(output) if twice else output) - TARGET).square().mean()

        method.step(closure)
        found.append(gradients(model))
    assert_same(*found, **CLOSE)


@pytest.mark.parametrize("kind", ["loop", "skips", "two networks"])
def test_the_alignment_is_that_of_the_steps_gradients(kind):
    """Without it the probe would measure signals that no step sends."""
    model = made(kind)
    method = make_method("dfa", model).double()
    measured = measure_alignment(method, lambda: loss_of(model)).parameters
    method.backward(loss_of(model))
    sent, true = gradients(model), by_backprop(kind)
    for name, value in measured.items():
        cosine = torch.cosine_similarity(sent[name].flatten(), true[name].flatten(), dim=0)
        assert value == pytest.approx(float(cosine), abs=1e-6), name


def test_chained_passes_within_activation_checkpointing():
    """Without it a region that runs again for the errors, and once more for the weights, could be counted twice."""

    class Checkpointed(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(super().forward, x, use_reentrant=False)

    model = made("two networks")
    for layer in (*model.encoder.layers, *model.decoder.layers):
        layer.__class__ = Checkpointed
    make_method("dfa", model).double().backward(loss_of(model))
    assert_same(gradients(model), by_formula("two networks"), **CLOSE)


def test_chained_passes_in_compiled_regions_are_refused():
    """Without it a compiled pass would add what arrives to its error, but not to its points' signals."""
    torch.compiler.reset()
    model = made("two networks")
    method = make_method("dfa", model).double()
    model.encoder = torch.compile(model.encoder, backend="aot_eager")
    model.decoder = torch.compile(model.decoder, backend="aot_eager")
    with pytest.raises(FeedbackError, match=r"compiled.*detach\(\)"):
        method.backward(loss_of(model))
    torch.compiler.reset()


def test_local_losses_that_go_backward_early_say_to_detach():
    """To call method.backward, as the message of stray backward passes says, would be of no help here."""
    model = Refinement().double()
    method = make_method("local", model).double()
    supervision = Supervision(head=lambda tap, output: (output - TARGET).square().mean())
    with pytest.raises(FeedbackError, match=r"reads what error tap 'tap' returned.*local\(eager=True\).*detach\(\)"):
        method.step(lambda: model(X)[-1].square().mean(), supervision)
