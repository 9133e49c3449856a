"""Identities of the methods on the real networks: special cases that must be backprop, and maps against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.settings.compose import compose
from dfa_core import Carried, Method, WeightTransport, make_method
from tests.helpers.gradient_oracle import gradients_of
from tests.helpers.runs import Built, build, near
from tests.tasks.points import representatives

pytestmark = pytest.mark.usefixtures("folder")
NETWORKS = [pytest.param(task, id=name) for name, task in representatives().items() if name != "fm"]


class ItsOwnWeights(WeightTransport):
    """B = W."""

    def backward_weight(self, name, weight):
        return weight


def step_of(run: Built, method: Method, seed: int = 7) -> dict[str, Tensor]:
    """The gradients that a method gives the first batch."""
    run.task.model.train()
    run.task.model.zero_grad(set_to_none=True)
    batch = next(iter(run.task.batches(0)))
    torch.manual_seed(seed)
    supervision = run.task.supervision(batch)
    method.step(lambda: run.task.loss(batch), supervision)
    return gradients_of(run.task.model)


def check_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert near(gradient, expected[name], 1e-3), name


@pytest.mark.parametrize("task", NETWORKS)
def test_backward_weights_equal_to_the_weights_are_backprop(task):
    """And all weights are found: a miss would be an error, a wrong view another gradient."""
    run = build(task, "bp")
    expected = step_of(run, run.method)
    method = ItsOwnWeights(run.task.model)
    check_equal(step_of(run, method), expected)
    assert method.replaced


@pytest.mark.parametrize("task", NETWORKS)
def test_other_backward_weights_change_every_weight_below(task):
    """Without it the replacement could be found and not be used."""
    run = build(task, "bp")
    expected = step_of(run, run.method)
    method = make_method("fa", run.task.model)
    found = step_of(run, method)
    assert found.keys() == expected.keys()
    assert any(not near(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("task", NETWORKS)
def test_one_full_step_of_predictive_coding_is_backprop(task):
    """Through every point and pass of the network, with its dropout and its random samples."""
    run = build(task, "bp")
    expected = step_of(run, run.method)
    method = make_method("predictive_coding", run.task.model, steps=1, rate=1.0, states="feedforward")
    check_equal(step_of(run, method), expected)


@pytest.mark.parametrize("task", NETWORKS)
def test_recomputing_is_backprop(task):
    """In its gradients; where there is nothing to recompute the task says so."""
    skipped = compose([f"task={task}", "profile=smoke"]).task.skip
    if "bp_recompute" in skipped:
        pytest.skip(skipped["bp_recompute"])
    run = build(task, "bp")
    expected = step_of(run, run.method)
    check_equal(step_of(run, make_method("bp_recompute", run.task.model)), expected)


@pytest.mark.parametrize("task", NETWORKS)
def test_recomputed_feedback_is_the_usual_one(task):
    """Its second forward pass is the first again, with dropout, samples along rays and running statistics."""
    run = build(task, "bp")
    before = {name: buffer.clone() for name, buffer in run.task.model.named_buffers()}
    found, statistics = [], []
    for recompute in (False, True):
        run.task.model.load_state_dict(before, strict=False)
        found.append(step_of(run, make_method("dfa", run.task.model, recompute=recompute)))
        statistics.append({name: buffer.clone() for name, buffer in run.task.model.named_buffers()})
    check_equal(*found)
    assert all(torch.equal(statistics[0][name], statistics[1][name]) for name in before)


@pytest.mark.parametrize("task", NETWORKS)
def test_local_losses_do_the_same_early_and_late(task):
    """A head must be right while the forward pass stands at its point."""
    run = build(task, "bp")
    found = [step_of(run, make_method("local", run.task.model, eager=eager)) for eager in (True, False)]
    check_equal(*found)


@pytest.mark.parametrize("task", NETWORKS)
def test_a_head_is_the_tasks_own_loss(task):
    """With what the tap was given, it is the loss; of a radiance field, the two fields' parts add up to it."""
    run = build(task, "bp")
    run.task.model.eval()
    batch, outputs = next(iter(run.task.batches(0))), {}
    torch.manual_seed(3)
    supervision = run.task.supervision(batch)
    heads: dict[str, float] = {}

    def read(name, x):
        with torch.no_grad():
            heads[name] = float(supervision.head(name, x))
        outputs[name] = x

    for name, tap in run.method.layout.taps.items():
        tap.register_forward_hook(lambda module, inputs, output, name=name: read(name, output))
    torch.manual_seed(3)
    loss = float(run.task.loss(batch))
    assert heads and sum(heads.values()) == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("network", ["gcn", "gat", "cheb", "spline", "dna", "gae"])
def test_the_maps_of_structural_feedback_are_transposes(network):
    """⟨S x, e⟩ = ⟨x, Sᵀ e⟩ with S by the network's own propagation, learned branches removed."""
    run = build(f"citation/{network}_cora", "bp")
    model, graph = run.task.model, run.task.graph
    run.task.loss(None)  # so that the graph was seen
    width = model.tap.width
    generator = torch.Generator().manual_seed(0)
    x, e = (torch.randn(graph.nodes, width, generator=generator) for _ in range(2))
    for point in run.method.layout.points.values():
        assert isinstance(point.structure, Carried)
        carried = point.structure.adjoint(e)
        assert len(carried) == point.structure.maps
        for number, back in enumerate(carried):
            forward = _forward(network, model, point, number, x)
            assert (forward * e).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-3, abs=1e-2)


def _forward(network, model, point, number: int, x: Tensor) -> Tensor:
    """S_k x with the network's own operators."""
    if network == "cheb":
        previous, current = x, model.conv2._laplacian.propagate(x)
        for _ in range(number - 1):
            previous, current = current, 2 * model.conv2._laplacian.propagate(current) - previous
        return x if number == 0 else current
    if network == "spline":
        if number == point.structure.maps - 1:
            return x
        pattern, values = model.conv2._mix
        by_kernel = torch.zeros(x.size(0), point.structure.maps - 1, x.size(1))
        by_kernel[:, number] = x
        return pattern.matrix(values) @ by_kernel.flatten(0, 1)
    if network == "dna":
        for _ in range(point.structure.adjoint.args[0]):
            x = model._edges.propagate(x)
        return x
    return model.conv2._edges.propagate(x)


def test_graph_feedback_with_the_true_weight_is_backprop():
    """Two-layer GCN without dropout, B = W_2ᵀ: δ = Âᵀ e W_2 is dL/dh."""
    run = build("citation/gcn_cora", "bp", "task.model.dropout=0.0")
    expected = step_of(run, run.method)
    method = make_method("structural", run.task.model)
    method.feedback["point"].weight.copy_(run.task.model.conv2.lin.weight.T)
    check_equal(step_of(run, method), expected)


@pytest.mark.parametrize("task", ["nerf_synthetic/lego", "wikitext2/macro"])
def test_copies_that_autocast_makes_are_replaced(task):
    """In bf16 a weight may be split first and cast then; the twin has to go the same way."""
    run = build(task, "bp", "hardware.precision=bf16")
    batch = next(iter(run.task.batches(0)))

    def gradients(method: Method) -> dict[str, Tensor]:
        run.task.model.train()
        run.task.model.zero_grad(set_to_none=True)
        torch.manual_seed(7)
        with torch.autocast("cpu", torch.bfloat16):
            method.step(lambda: run.task.loss(batch))
        return gradients_of(run.task.model)

    expected = gradients(run.method)
    method = ItsOwnWeights(run.task.model)
    found = gradients(method)
    assert method.replaced and all(torch.equal(found[name], expected[name]) for name in expected)
