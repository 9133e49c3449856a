"""Settings of dfa, and direct feedback that is learned or structural, in fp64."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfa_core import Carried, ErrorTap, FeedbackError, FeedbackPoint, Residual, make_method
from dfa_core.methods.dfa import quantised
from dfa_core.methods.directional import cosine_gradient, inverse_gradient
from tests.engine.methods.nets import classification, gradients_by, net, step, take_step
from tests.helpers.engine_nets import assert_same, gradients

DATA = classification()
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def jacobian(model, point: int):
    """do/dh of a linear network at a point, ``(error, width)``."""
    found = model.layers[point + 1].weight.detach()
    for layer in model.layers[point + 2 :]:
        found = layer.weight.detach() @ found
    return found


def linear_net(*widths):
    return net(*widths, act=lambda z: z)


def test_the_jacobians_of_a_linear_net_are_backprop():
    """B_i = J_iᵀ; without it a signal could have another scale, or belong to another point."""
    model = linear_net()
    method = make_method("dfa", model, feedback="gaussian").double()
    for i in (0, 1):
        method.matrix(f"points.{i}").copy_(jacobian(model, i))
    take_step(method, model, DATA)
    reference = linear_net()
    step("bp", reference, DATA)
    assert_same(gradients(model), gradients(reference), **CLOSE)


@pytest.mark.parametrize("option", [{"rank": 4}, {"density": 1.0}, {"error": "exact"}, {"rank": 99}])
def test_settings_without_effect_are_dfa_bit_for_bit(option):
    """Without it a default could change what was published."""
    assert_same(gradients_by("dfa", DATA, **option), gradients_by("dfa", DATA))


@pytest.mark.parametrize("feedback", ["shared_uniform", "uniform", "gaussian", "orthogonal"])
def test_low_rank_and_sparse_matrices_keep_their_size(feedback):
    """Without it a comparison of ranks would be one of signal sizes."""
    model = net(5, 600, 500, 40)
    full = make_method("dfa", model, feedback=feedback)
    low = make_method("dfa", model, feedback=feedback, rank=3)
    sparse = make_method("dfa", model, feedback=feedback, density=0.1)
    for point in ("points.0", "points.1"):
        size = full.matrix(point).square().mean().item()
        assert low.matrix(point).square().mean().item() == pytest.approx(size, rel=0.3)
        assert sparse.matrix(point).square().mean().item() == pytest.approx(size, rel=0.1)
        assert torch.linalg.matrix_rank(low.matrix(point)) == 3
        assert torch.equal((sparse.matrix(point) != 0).sum(0), torch.full((full.matrix(point).shape[1],), 4))


def test_low_rank_matrices_share_their_row_space():
    """V is one for all points, so that a single projection of the error serves them."""
    method = make_method("dfa", net(5, 60, 50, 40), feedback="gaussian", rank=3)
    both = torch.cat([method.matrix("points.0"), method.matrix("points.1")], 1)
    assert torch.linalg.matrix_rank(both) == 3


def test_even_the_sparsest_row_sends_something():
    """Without it units would be frozen unseen."""
    matrix = make_method("dfa", net(), density=1e-6).matrix("points.0")
    assert torch.equal((matrix != 0).sum(0), torch.ones(7, dtype=torch.int64))


def test_quantised_errors_have_few_levels_and_the_length_they_had():
    """Without the length a step would depend on the number of classes."""
    error = torch.tensor([[0.5, -0.04, 0.0], [-2.0, 1.0, 0.3]])
    sign, ternary = quantised(error, "sign", 0.1), quantised(error, "ternary", 0.1)
    assert torch.equal(sign.sign(), error.sign())
    assert torch.equal(ternary.sign(), torch.tensor([[1.0, 0, 0], [-1, 1, 1]]))
    for sent in (sign, ternary):
        torch.testing.assert_close(sent.norm(dim=1), error.norm(dim=1))
        assert len(sent[1].abs().unique()) == 1


def test_an_error_below_every_threshold_stays_zero():
    """0/0 would be sent otherwise: a batch without error, or a threshold that nothing passes."""
    for error, threshold in ((torch.zeros(3, 4), 0.1), (torch.ones(3, 4), 1.0)):
        assert torch.equal(quantised(error, "ternary", threshold), torch.zeros(3, 4))


def test_a_shared_gaussian_matrix_is_cut_to_each_points_width():
    """The scaling of arXiv:1906.04554: entries of deviation 1/√(width · classes)."""
    method = make_method("dfa", net(4, 300, 200, 5), feedback="shared_gaussian", scaling="width_error")
    wide, narrow = method.matrix("points.0"), method.matrix("points.1")
    torch.testing.assert_close(narrow, wide[:, :200] * math.sqrt(300 / 200))
    assert wide.std().item() == pytest.approx(1 / math.sqrt(300 * 5), rel=0.1)


def test_a_centred_error_sends_no_drive_common_to_all_samples():
    """The signals of a batch sum to zero at every unit."""
    model = net()
    method = make_method("dfa", model, center=True)
    seen = []
    signals = method.signals
    method.signals = lambda p: seen.append(signals(p)) or seen[-1]
    take_step(method, model, DATA)
    for signal in seen[0].values():
        torch.testing.assert_close(signal.sum(0), torch.zeros_like(signal[0]), atol=1e-12, rtol=0)
        assert signal.abs().max() > 1e-4


def test_dkp_learns_the_readouts_own_gradient_at_the_last_point():
    """With B_0 = W_o and one optimizer both stay equal: Kolen-Pollack there."""
    model = net()
    method = make_method("dkp", model).double()
    method.feedback["points/1"].data.copy_(model.layers[2].weight.detach())
    optimizer = torch.optim.Adam([*model.parameters(), *method.parameters()], lr=0.05)
    for _ in range(4):
        take_step(method, model, DATA)
        assert torch.allclose(method.feedback["points/1"].grad, model.layers[2].weight.grad, rtol=1e-12)
        optimizer.step()
    torch.testing.assert_close(method.feedback["points/1"].detach(), model.layers[2].weight.detach(), **CLOSE)


def test_dkp_sends_what_its_matrices_hold():
    """δ_i = B_iᵀ e, from zero at first; without it the hidden layers could learn from something else."""
    found = gradients_by("dkp", DATA)
    assert not found["layers.0.weight"].any() and not found["layers.1.weight"].any() and found["layers.2.weight"].any()
    uniform = gradients_by("dkp", DATA, initial="shared_uniform")
    assert_same(uniform, gradients_by("dfa", DATA), rtol=1e-6, atol=1e-9)


def directions_of(method, model):
    """The noise of a step, as drawn for each point, ``(samples, width)``."""
    method.noise.step -= 1  # the step that was taken
    widths = {name: point.width for name, point in method.layout.points.items()}
    return {n: method.noise.normal_like(f"0/{n}", DATA[0].new_empty(len(DATA[0]), w)) for n, w in widths.items()}


def test_directional_feedback_estimates_the_jacobian():
    """On a linear net d = Σ J_i v_i exactly, and B's gradient is B − mean d vᵀ."""
    model = linear_net()
    method = make_method("directional", model, epsilon=1e-2).double()
    take_step(method, model, DATA)
    noise = directions_of(method, model)
    change = sum(v @ jacobian(model, i).T for i, v in enumerate(noise.values()))
    for name, v in noise.items():
        expected = method.matrix(name).detach() - change.T @ v / len(v)
        torch.testing.assert_close(method.feedback[name.replace(".", "/")].grad, expected, rtol=1e-8, atol=1e-8)


def test_the_mean_of_many_estimates_is_the_jacobian():
    """E[d vᵀ] = J: cross terms of other points vanish."""
    model = linear_net()
    method = make_method("directional", model, initial="zero").double()
    total = {name: 0.0 for name in method.layout.points}
    draws = 600
    for _ in range(draws):
        take_step(method, model, DATA)
        for name in total:
            total[name] = total[name] - method.feedback[name.replace(".", "/")].grad / draws
    for i, name in enumerate(total):
        estimate, truth = total[name].flatten(), jacobian(model, i).flatten()
        assert torch.cosine_similarity(estimate, truth, dim=0) > 0.97


def test_the_inverse_of_an_invertible_net_is_a_fixed_point():
    """v − J⁻¹ J v = 0: DDTP has arrived."""
    model = linear_net(5, 4, 4)
    method = make_method("directional", model, target="inverse", epsilon=1e-2).double()
    method.feedback["points/0"].data.copy_(torch.linalg.inv(jacobian(model, 0)).T)
    take_step(method, model, DATA)
    assert method.feedback["points/0"].grad.abs().max() < 1e-8


def test_the_cosine_gradient_is_autograds():
    generator = torch.Generator().manual_seed(0)
    matrix, d, v = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((4, 7), (9, 4), (9, 7)))
    leaf = matrix.clone().requires_grad_()
    target = d.T @ v / 9
    (1 - (leaf * target).sum() / (leaf.norm() * target.norm())).backward()
    torch.testing.assert_close(cosine_gradient(matrix, d, v), leaf.grad)


def test_the_inverse_gradient_is_autograds():
    """Without it the sign could be wrong: at the fixed point nobody would see it."""
    generator = torch.Generator().manual_seed(0)
    matrix, d, v = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((4, 7), (9, 4), (9, 7)))
    leaf = matrix.clone().requires_grad_()
    (0.5 * (v - d @ leaf).square().sum(1).mean()).backward()
    torch.testing.assert_close(inverse_gradient(matrix, d, v), leaf.grad)


class Stream(nn.Module):
    """A residual stream: x + branch(x), with points and tap on it."""

    def __init__(self, structure=None) -> None:
        super().__init__()
        self.enter = nn.Linear(5, 4)
        self.branches = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.points = nn.ModuleList(FeedbackPoint(4, structure=structure) for _ in range(3))
        self.tap = ErrorTap(4)

    def forward(self, x):
        x = self.points[0](self.enter(x))
        for branch, point in zip(self.branches, self.points[1:], strict=True):
            x = point(x + torch.tanh(branch(x)))
        return self.tap(x)


def test_a_residual_stream_sends_the_error_itself():
    """With the branches removed this is backprop; without it a matrix could stand where none is needed."""
    torch.manual_seed(0)
    model = Stream(Residual()).double()
    for branch in model.branches:
        nn.init.zeros_(branch.weight)
    step("structural", model, DATA)
    found = gradients(model)
    reference = copy.deepcopy(model)
    step("bp", reference, DATA)
    assert_same(found, gradients(reference), **CLOSE)


@pytest.mark.parametrize("structure", [Residual(), Carried(lambda e: [e])], ids=["residual", "carried"])
def test_the_signals_of_structural_feedback_are_proportional_to_its_scale(structure):
    """Without it the factor could be left out, or apply twice, and only the best learning rate would show it."""
    found = []
    for scale in (1.0, 3.0):
        torch.manual_seed(0)
        model = Stream(structure).double()
        method = make_method("structural", model, scale=scale).double()
        take_step(method, model, DATA)
        found.append(model.enter.weight.grad)
    torch.testing.assert_close(found[1], 3 * found[0], **CLOSE)


def test_maps_over_samples_are_carried_and_features_projected():
    """δ = Σ_k B_k S_kᵀ e."""
    mixing = torch.randn(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    model = net(5, 7, 4)
    model.points[0] = FeedbackPoint(7, structure=Carried(lambda e: [e, mixing.T @ e], maps=2))
    method = make_method("structural", model).double()
    take_step(method, model, DATA)
    h = torch.tanh(model.layers[0](DATA[0])).detach()
    e = ((model.layers[1](h)).softmax(1) - F.one_hot(DATA[1], 4)).detach() / 9
    signal = torch.cat([e, mixing.T @ e], 1) @ method.feedback["points/0"].matrix("points.0")
    torch.testing.assert_close(model.layers[0].bias.grad, (signal * (1 - h**2)).sum(0), **CLOSE)


def test_a_point_without_structure_is_an_error():
    with pytest.raises(FeedbackError, match=r"points\.0' declares no structure"):
        make_method("structural", net())


def test_a_stream_of_another_width_is_an_error():
    model = net(5, 7, 4)
    model.points[0] = FeedbackPoint(7, structure=Residual())
    with pytest.raises(FeedbackError, match="must be equal"):
        make_method("structural", model)


def test_structured_models_are_copied_and_pickled():
    """A map that is a method of the model's must be the copy's own afterwards."""
    from benchmarks.tasks.citation.config import GCNConfig
    from benchmarks.tasks.citation.gcn import GCN

    model = GCN(GCNConfig(), 6, 3)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.point.structure.adjoint.__self__ is other.conv2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dfa", {"error": "loud"}, "unknown error 'loud'"),
        ("dfa", {"rank": -1}, "rank=-1"),
        ("dfa", {"density": 0.0}, "density=0.0"),
        ("directional", {"target": "up"}, "unknown target 'up'"),
        ("directional", {"target": "cosine", "initial": "zero"}, "must not be 0"),
        ("sign_symmetry", {"magnitude": "big"}, "unknown magnitude"),
        ("kolen_pollack", {"decay": 1.0}, "decay=1.0"),
    ],
)
def test_unknown_settings_are_named(name, options, message):
    with pytest.raises(FeedbackError, match=message):
        make_method(name, net(), **options)
