"""Where the Transformer is cut, what each signal trains, and that the signals are the formula's."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.tasks.language.transformer import Transformer
from dfa_core import FeedbackMethod, make_method, measure_alignment
from tests.helpers.gradient_oracle import expected_gradients
from tests.tasks.language.networks import gradients, small, some_ids
from tests.tasks.language.test_model import equations

HEAD = {"projection.weight", "projection.bias"}
VARIANTS = [
    {"norm": norm, "placement": placement, "tap": tap, "top": top}
    for norm, placement, tap, top in product(
        ("post", "pre"), ("macro", "micro"), ("before", "after"), ("feedback", "error")
    )
]


def step(method_name: str, model: Transformer, **options: Any) -> dict[str, Tensor]:
    """Gradients of one step, by parameter."""
    method = make_method(method_name, model, **options)
    method.backward(model.loss(*some_ids()))
    return gradients(model)


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert gradient.any(), name
        torch.testing.assert_close(gradient, expected[name], **(tolerance or {"rtol": 1e-4, "atol": 1e-6}), msg=name)


def test_points_are_the_published_ones():
    """Without it a dropped point would leave its layer to its neighbour's signal, or a wide one rescale all others."""
    sizes = {"layers": 6, "width": 8, "hidden": 12}
    macro = {f"blocks.{i}.point": 8 for i in range(6)}
    micro = {
        f"blocks.{i}.{name}": width
        for i in range(6)
        for name, width in {"attention_point": 8, "hidden_point": 12, "point": 8}.items()
    }
    for norm, top in product(("post", "pre"), ("feedback", "error")):
        for placement, points in {"macro": macro, "micro": micro}.items():
            expected = points if top == "feedback" else {n: w for n, w in points.items() if n != "blocks.5.point"}
            layout = make_method("bp", small(**sizes, norm=norm, placement=placement, top=top)).layout
            assert {name: point.width for name, point in layout.points.items()} == expected
    assert (len(macro), len(micro)) == (6, 18)


@pytest.mark.parametrize(("tap", "width"), [("before", 8), ("after", 11)])
def test_error_is_read_on_the_chosen_side_of_the_projection(tap, width):
    """Without it the error could have passed the projection's transpose or not, whatever the setting says."""
    assert {mark.width for mark in make_method("bp", small(tap=tap)).layout.taps.values()} == {width}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(v.values()))
@pytest.mark.parametrize("method", ["bp", "dfa", "shallow"])
def test_gradients_are_the_methods_own(method, variant):
    """Without it a gradient could leak past a cut by a residual connection, as backprop under another name."""
    model = small(dropout=0.2, attention_dropout=0.2, **variant)
    attached = make_method(method, model)
    torch.manual_seed(3)
    attached.backward(model.loss(*some_ids()))
    found = gradients(model)
    torch.manual_seed(3)
    task = SimpleNamespace(model=model, loss=lambda batch: model.loss(*batch))
    # Directly above a point the tap's input is a constant, at which the oracle could not ask for the error.
    with model.hidden_tap.register_forward_pre_hook(_requiring_gradient):
        assert_near(found, expected_gradients(task, attached, some_ids()))


def _requiring_gradient(tap: nn.Module, inputs: tuple[Tensor]) -> None:
    if not inputs[0].requires_grad:
        inputs[0].requires_grad_()


def trained_by(point: str, model: Transformer) -> set[str]:
    """The parameters between ``point`` and the cuts below it, worked out from the figure in transformer.py."""
    layer, name = point.removeprefix("blocks.").split(".")
    micro, pre = model.config.placement == "micro", model.config.norm == "pre"
    attention, enter, leave = ["attention.", "attention_norm"], ["enter"], ["leave"]
    (enter if pre else leave).append("feed_forward_norm")
    own = {"attention_point": attention, "hidden_point": enter, "point": leave}[name]
    parts = [f"blocks.{layer}.{part}" for part in (own if micro else [*attention, *enter, *leave])]
    if layer == "0" and name == ("attention_point" if micro else "point"):
        parts.append("embedding")
    return {name for name, _ in model.named_parameters() if name.startswith(tuple(parts))}


@pytest.mark.parametrize(("norm", "placement"), list(product(("post", "pre"), ("macro", "micro"))))
def test_each_signal_trains_its_own_part_alone(norm, placement):
    """Without it a bypassed point would go unseen: its layers would learn by backprop from the next one's signal."""
    model = small(norm=norm, placement=placement)
    method = make_method("dfa", model)
    signals = method.signals
    above = HEAD | ({"norm.weight", "norm.bias"} if norm == "pre" else set())
    learned: set[str] = set()
    for point in method.layout.points:
        model.zero_grad(set_to_none=True)
        method.signals = lambda p, point=point: {point: signals(p)[point]}
        method.backward(model.loss(*some_ids()))
        assert set(gradients(model)) == above | trained_by(point, model), point
        learned |= set(gradients(model))
    assert learned == {name for name, _ in model.named_parameters()}


def test_shallow_trains_what_lies_above_the_points():
    """Without it the control could be another one than the paper's, which trains the projection alone."""
    last = {name for name, _ in small().named_parameters() if name.startswith("blocks.1.")}
    top = {name for name in last if name.split(".")[2] in ("leave", "feed_forward_norm")}
    for tap in ("before", "after"):
        assert set(step("shallow", small(tap=tap))) == HEAD
        assert set(step("shallow", small(tap=tap, top="error"))) == HEAD | last
        assert set(step("shallow", small(tap=tap, top="error", placement="micro"))) == HEAD | top
        assert set(step("shallow", small(tap=tap, norm="pre"))) == HEAD | {"norm.weight", "norm.bias"}


def test_macro_with_one_block_is_the_explicit_formula():
    """Without it the one block could get e itself, a transposed matrix, or a signal of another scale."""
    model = small(layers=1)
    method = make_method("dfa", model)
    (ids, targets), weight = some_ids(), model.projection.weight.detach().clone()
    method.backward(model.loss(ids, targets))

    model.projection.weight.data, bias = torch.eye(8), model.projection.bias.data.clone()
    model.projection.bias.data = torch.zeros(8)
    h = torch.stack([equations(model, row) for row in ids])  # what the projection reads, from the equations
    p = (h.detach() @ weight.T + bias).softmax(-1)  # (batch, time, vocabulary)
    of_logits = (p - torch.nn.functional.one_hot(targets, 11)) / targets.numel()
    error = of_logits @ weight  # e = Wᵀ (p - onehot) / tokens
    below = {name: x for name, x in model.named_parameters() if name not in HEAD}
    signal = error @ method.matrix("blocks.0.point")
    local = torch.autograd.grad((signal * h).sum(), list(below.values()))
    expected = dict(zip(below, local, strict=True))
    expected["projection.weight"] = torch.einsum("btv,btw->vw", of_logits, h.detach())
    expected["projection.bias"] = of_logits.sum((0, 1))
    # Keys' biases move all scores of a query alike: their true gradient is 0.
    found, keys = gradients(model), slice(8, 16)
    for side in (found, expected):
        assert side["blocks.0.attention.query_key_value.bias"][keys].abs().max() < 1e-6
    assert_near(found, expected)


def linear_above() -> Transformer:
    """One block in which the maps from its points to the tap are linear: no second norm, ReLU always open."""
    model = small(layers=1, placement="micro").double()
    model.blocks[0].feed_forward_norm = nn.Identity()
    model.blocks[0].enter.bias.data += 100.0
    return model


def test_micro_points_with_the_true_matrices_give_backprop():
    """Without it a signal could go to a point of equal width one sub-layer further, and only look random."""
    model = linear_above()
    expected = step("bp", model)
    model.zero_grad(set_to_none=True)
    method = make_method("dfa", model, feedback="uniform").double()
    block = model.blocks[0]
    with torch.no_grad():
        method.matrix("blocks.0.point").copy_(torch.eye(8))
        method.matrix("blocks.0.hidden_point").copy_(block.leave.weight)
        method.matrix("blocks.0.attention_point").copy_(torch.eye(8) + block.leave.weight @ block.enter.weight)
    method.backward(model.loss(*some_ids()))
    assert_near(gradients(model), expected, rtol=1e-8, atol=1e-12)
    measured = measure_alignment(method, lambda: model.loss(*some_ids()))
    assert all(cosines.min() > 1 - 1e-6 for cosines in measured.points.values()) and len(measured.points) == 3
    differ_by_hand(model, "blocks.0.enter.weight", "blocks.0.attention.merge.weight")


def differ_by_hand(model: Transformer, *names: str) -> None:
    """The gradients of some entries against finite differences of the loss."""
    for name in names:
        parameter = model.get_parameter(name)
        for entry in ((0, 0), (3, 5)):
            losses = []
            for sign in (1, -1):
                parameter.data[entry] += sign * 1e-5
                with torch.no_grad():
                    losses.append(model.loss(*some_ids()))
                parameter.data[entry] -= sign * 1e-5
            assert parameter.grad[entry].item() == pytest.approx(((losses[0] - losses[1]) / 2e-5).item(), rel=1e-4)


def test_backprop_knows_no_placement():
    """Without it bp would be another baseline for macro than for micro."""
    first, *others = [
        step("bp", small(placement=p, top=t)) for p, t in product(("macro", "micro"), ("feedback", "error"))
    ]
    for other in others:
        assert first.keys() == other.keys() and all(torch.equal(first[name], other[name]) for name in first)


def test_methods_and_placements_share_weights_and_dropout():
    """Without it the methods' curves would differ from the first step on for reasons of chance."""
    states, losses = [], []
    for method, placement, tap in product(("bp", "dfa", "shallow"), ("macro", "micro"), ("before", "after")):
        model = small(dropout=0.3, attention_dropout=0.3, placement=placement, tap=tap)
        states.append(model.state_dict())
        attached = make_method(method, model)
        torch.manual_seed(5)
        for _ in range(2):  # the second shows that backward draws no random numbers
            loss = model.loss(*some_ids())
            attached.backward(loss)
        losses.append(loss.item())
    assert all(torch.equal(state[name], x) for state in states for name, x in states[0].items())
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-6)


@pytest.mark.parametrize(("method", "tap"), list(product(("bp", "dfa", "shallow"), ("before", "after"))))
def test_tied_matrix_gets_the_sum_of_both_gradients(method, tap):
    """Without it the embedding's local gradient could replace the projection's true one, or be lost."""
    tied, untied = small(tied=True, tap=tap), small(tap=tap)
    untied.load_state_dict(tied.state_dict())
    found, parts = step(method, tied), step(method, untied)
    expected = parts.pop("projection.weight") + parts.pop("embedding.weight", 0)
    assert ("embedding.weight" in step(method, untied)) == (method != "shallow")
    assert_near(found, parts | {"embedding.weight": expected})


def test_alignment_covers_every_point():
    """Without it the table could lack a point, or name the wrong one as the deepest."""
    for placement, deepest in {"macro": "blocks.0.point", "micro": "blocks.0.attention_point"}.items():
        model = small(placement=placement)
        method = make_method("dfa", model)
        assert isinstance(method, FeedbackMethod)
        measured = measure_alignment(method, lambda model=model: model.loss(*some_ids()))
        assert set(measured.points) == set(method.layout.points) and next(iter(measured.points)) == deepest
        assert all(len(cosines) == 18 for cosines in measured.points.values())
