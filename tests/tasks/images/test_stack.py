"""Several seeds side by side: each learns as if it were alone; and what is measured of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.tasks.images.cnn import CNN
from benchmarks.tasks.images.config import CNNConfig, PerceptronConfig, StackConfig
from benchmarks.tasks.images.data import Batch
from benchmarks.tasks.images.dynamics import convolution_cosines, matrix_of, stack_dynamics
from benchmarks.tasks.images.mlp import MLP
from benchmarks.tasks.images.prealign import prealign
from benchmarks.tasks.images.stack import Stack
from dfa_core import ErrorTap, FeedbackPoint, make_method
from tests.helpers.runs import build

COPIES, INPUTS, CLASSES = 3, 12, 5
SETTINGS = {"feedback": "uniform", "scaling": "width"}


@pytest.fixture
def stack() -> Stack:
    torch.manual_seed(0)
    return Stack(StackConfig(copies=COPIES, width=8, layers=3, activation="tanh"), INPUTS, CLASSES).double()


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(COPIES, 7, INPUTS, generator=generator, dtype=torch.float64)
    return Batch(x, torch.randint(CLASSES, (COPIES, 7), generator=generator))


def alone(stack: Stack, copy: int) -> nn.Sequential:
    """One copy as a network of its own, its points called as those of the stack."""
    layers: list[nn.Module] = []
    for number, weight in enumerate(stack.weights):
        linear = nn.Linear(weight.shape[1], weight.shape[2], bias=False).double()
        linear.weight.data = weight[copy].T.detach().clone()
        hidden = number < len(stack.weights) - 1
        layers += [linear, nn.Tanh(), FeedbackPoint(weight.shape[2], name=f"points.{number}")] if hidden else [linear]
    return nn.Sequential(*layers, ErrorTap(CLASSES, name="tap"))


@pytest.mark.parametrize("name", ["bp", "dfa"])
def test_each_copy_learns_as_if_it_were_alone(stack, batch, name):
    """And all with the same feedback: without it the seeds would share more, or less, than they are said to."""
    options = SETTINGS if name == "dfa" else {}
    method = make_method(name, stack, **options).double()
    method.step(lambda: F.cross_entropy(stack(batch.images).flatten(0, 1), batch.labels.flatten()) * COPIES)
    for copy in range(COPIES):
        model = alone(stack, copy)
        own = make_method(name, model, **options).double()
        if name == "dfa":
            for number in range(3):
                own.matrix(f"points.{number}").copy_(method.matrix(f"points.{number}"))
        own.step(lambda model=model, copy=copy: F.cross_entropy(model(batch.images[copy]), batch.labels[copy]))
        linears = [module for module in model if isinstance(module, nn.Linear)]
        for weight, linear in zip(stack.weights, linears, strict=True):
            torch.testing.assert_close(weight.grad[copy], linear.weight.grad.T)


def test_what_is_measured_is_what_the_formulas_say(stack, batch):
    method = make_method("dfa", stack, **SETTINGS).double()
    found = stack_dynamics(list(stack.weights), stack, method, batch)
    f = [method.matrix(f"points.{number}").T for number in range(3)]
    targets = [f[1] @ f[0].T, f[2] @ f[1].T, f[2].T]  # (outputs, inputs)
    for name, weight, target in zip(("2", "3", "output"), stack.weights[1:], targets, strict=True):
        each = [F.cosine_similarity(w.T.flatten(), target.flatten(), dim=0).item() for w in weight]
        assert found[f"feedback_weight_cosine/{name}"] == pytest.approx(sum(each) / COPIES)
    drawn = [matrix * 8**0.5 for matrix in f]  # `scaling` divides by the root of the width
    target = torch.cat([m.flatten() for m in (drawn[1] @ drawn[0].T, drawn[2] @ drawn[1].T, drawn[2].T)])
    behind = [torch.cat([w[copy].T.flatten() for w in stack.weights[1:]]) for copy in range(COPIES)]
    totals = [F.cosine_similarity(one, target, dim=0).item() for one in behind]
    assert found["feedback_weight_cosine/total"] == pytest.approx(sum(totals) / COPIES)
    flat = [torch.cat([w[copy].flatten() for w in stack.weights]) for copy in range(COPIES)]
    pairs = [F.cosine_similarity(flat[a], flat[b], dim=0).item() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found["seed_cosine"] == pytest.approx(sum(pairs) / 3)
    _check_signals(stack, batch, method, found)


def _check_signals(stack, batch, method, found):
    h, before = batch.images, []
    for weight in list(stack.weights)[:-1]:
        before.append(torch.bmm(h, weight.detach()).requires_grad_())
        h = torch.tanh(before[-1])
    with method.detached():
        hidden = [batch.images]
        a = []
        for weight in list(stack.weights)[:-1]:
            a.append(torch.bmm(hidden[-1], weight))
            hidden.append(torch.tanh(a[-1]))
        scores = torch.bmm(hidden[-1], stack.weights[-1])
        loss = F.cross_entropy(scores.flatten(0, 1), batch.labels.flatten())
        error, *true = torch.autograd.grad(loss, [scores, *a])
    for number, (gradient, output) in enumerate(zip(true, hidden[1:], strict=True)):
        sent = error @ method.matrix(f"points.{number}") * (1 - output**2)
        expected = F.cosine_similarity(sent, gradient, dim=-1, eps=1e-30).mean().item()
        assert found[f"preactivation_cosine/{number + 1}"] == pytest.approx(expected)


def test_one_solution_for_all_seeds_has_cosine_one(stack, batch):
    with torch.no_grad():
        for weight in stack.weights:
            weight.copy_(weight[:1].expand_as(weight))
    found = stack_dynamics(list(stack.weights), stack, make_method("bp", stack), batch)
    assert found == {"seed_cosine": pytest.approx(1), "seed_cosine/error": pytest.approx(0, abs=1e-9)}


def test_layers_in_order_are_counted(stack, batch):
    """Weights along the feedback in layer 2 and not in layer 3, in two copies of three."""
    method = make_method("dfa", stack, **SETTINGS).double()
    target = method.matrix("points.0").T @ method.matrix("points.1")
    with torch.no_grad():
        stack.weights[1][:2] = target
        stack.weights[1][2] = -target
    found = stack_dynamics(list(stack.weights), stack, method, batch)
    assert found["bottom_first"] == pytest.approx(2 / 3)


@pytest.mark.usefixtures("folder")
def test_every_copy_sees_every_image_in_an_order_of_its_own():
    task = build("mnist/mlp_seeds", "dfa", "task.model.copies=3").task
    labels = torch.cat([batch.labels for batch in task.batches(0)], dim=1)
    assert not torch.equal(labels[0], labels[1])
    counts = [torch.bincount(of_one, minlength=10) for of_one in labels]
    whole = torch.bincount(task._labels, minlength=10)
    for of_one in counts:
        assert (whole - of_one).sum() == len(task._labels) % 32 and (whole >= of_one).all()
    later = [batch.labels for batch in task.batches(0, start=3)]
    assert torch.equal(torch.cat(later, dim=1), labels[:, 3 * 32 :])


# Convolutions, and initial values that lie along the feedback --------------------------------------------------------


def test_the_weight_alignment_of_a_convolution_is_that_of_its_matrix():
    config = CNNConfig(channels=[2, 3], kernel=3, padding=0, pool=0, hidden=0)
    model = CNN(config, (1, 7, 7), 10, 8)
    method = make_method("dfa", model, **SETTINGS)
    (found,) = convolution_cosines(model, method).values()
    lower, upper = (method.matrix(f"blocks.{number}.point") for number in (0, 1))
    matrix = matrix_of(model.blocks[1].linear, (2, 5, 5))  # (inputs, outputs)
    expected = F.cosine_similarity(matrix.T.flatten(), (upper.T @ lower).flatten(), dim=0).item()
    assert found == pytest.approx(expected, rel=1e-4)
    x = torch.randn(1, 2, 5, 5)
    bias = model.blocks[1].linear(torch.zeros(1, 2, 5, 5))
    torch.testing.assert_close(x.flatten(1) @ matrix, (model.blocks[1].linear(x) - bias).flatten(1))


def test_pooled_blocks_have_no_weight_alignment():
    model = CNN(CNNConfig(channels=[2, 3], hidden=0), (1, 28, 28), 10, 8)
    assert convolution_cosines(model, make_method("dfa", model)) == {}


def test_prealigned_weights_hand_down_the_signals():
    """Wᵀ D = S up to a factor, nearly: each new layer changes the error that those above were aligned for."""
    torch.manual_seed(0)
    model = MLP(PerceptronConfig(width=30, layers=3), (1, 4, 4), 10, 64).double()
    method = make_method("dfa", model, feedback="gaussian").double()
    batch = Batch(torch.randn(8, 1, 4, 4, dtype=torch.float64), torch.randint(10, (8,)))
    first = model.hidden[0].linear.weight.clone()
    prealign(model, method, batch)
    assert torch.equal(model.hidden[0].linear.weight, first)
    outputs: list[torch.Tensor] = []
    for layer in model.hidden:
        layer.point.register_forward_hook(lambda m, i, out: outputs.append(out))
    with method.detached():
        scores = model(batch.images)
        error, *true = torch.autograd.grad(F.cross_entropy(scores, batch.labels), [scores, *outputs])
    for number, gradient in enumerate(true):
        signal = error @ method.matrix(f"hidden.{number}.point")
        assert F.cosine_similarity(signal, gradient, dim=1).mean() > 0.99
    for layer in (model.output, model.hidden[1].linear):
        assert layer.weight.norm().item() == pytest.approx(1)


def test_a_layer_without_feedback_below_is_aligned_with_what_it_sends_down():
    torch.manual_seed(0)
    model = MLP(PerceptronConfig(width=30, feedback_below_middle=False), (1, 4, 4), 10, 64).double()
    method = make_method("dfa", model, feedback="gaussian").double()
    batch = Batch(torch.randn(8, 1, 4, 4, dtype=torch.float64), torch.randint(10, (8,)))
    before = model.hidden[1].linear.weight.clone()
    prealign(model, method, batch)
    after = model.hidden[1].linear.weight
    # What the layer above hands down is B e already, so that only the directions of the batch's signals are kept.
    with method.detached():
        h = model.hidden[0](batch.images.flatten(1))
        a = F.linear(h, before, model.hidden[1].linear.bias)
        scores = model.output(model.hidden[2](torch.tanh(a)))
        error = torch.softmax(scores, 1).sub(F.one_hot(batch.labels, 10))
    sent = error @ method.matrix("hidden.1.point") * (1 - torch.tanh(a) ** 2)
    assert F.cosine_similarity(sent @ after, sent @ before, dim=1).min() > 0.99
    assert torch.linalg.matrix_rank(after) <= 8
    assert after.norm().item() == pytest.approx(1)


@pytest.mark.usefixtures("folder")
def test_without_feedback_there_is_nothing_to_align_with():
    with pytest.raises(ValueError, match="initial=prealigned: Backprop has no feedback matrices; use dfa"):
        build("mnist/mlp", "bp", "task.model.initial=prealigned")
