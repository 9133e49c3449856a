"""The radiance field: its encoding, its layout by parameter count and by hand, and what each signal trains."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.catalogue.discovery import tasks
from benchmarks.settings.compose import compose
from benchmarks.tasks.view_synthesis.config import NeRFConfig, RenderOptions
from benchmarks.tasks.view_synthesis.encoding import PositionalEncoding
from benchmarks.tasks.view_synthesis.network import RadianceField
from benchmarks.tasks.view_synthesis.rendering import NeRF, Rays
from datasets.scenes.manifest import REAL_SCENES, SYNTHETIC_SCENES
from dfa_core import make_method

SMALL = NeRFConfig(depth=3, width=8, skip=1, position_frequencies=2, direction_frequencies=1, density_bias=1.0)
OPTIONS = RenderOptions(near=2.0, far=6.0, coarse_samples=4, fine_samples=3)


def some_points(rays: int = 5, samples: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    positions = torch.randn(rays, samples, 3, generator=generator)
    return positions, F.normalize(torch.randn(rays, 3, generator=generator), dim=-1)


def some_rays(count: int = 5) -> Rays:
    origins, directions = some_points(count, 1)
    return Rays(origins[:, 0], 1.5 * directions, directions)


def seeded(config: NeRFConfig, network: type[nn.Module] = RadianceField) -> nn.Module:
    torch.manual_seed(0)
    return network(config)


def test_encoding_is_the_formula():
    """Without it a wrong frequency or a missing raw input would pass for a slightly blurred scene."""
    x = torch.tensor([[0.3, -1.2, 2.5]])
    expected = list(x[0].tolist())
    for k in range(10):
        for wave in (math.sin, math.cos):
            expected += [wave(2**k * value) for value in x[0].tolist()]
    encoding = PositionalEncoding(10)
    assert encoding.width == 63
    torch.testing.assert_close(encoding(x), torch.tensor([expected]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("depth", "width", "parameters"), [(4, 128, 84_548), (8, 256, 595_844)])
def test_parameter_counts_are_the_published_ones(depth, width, parameters):
    """Without it a number could be told of a network that is not the one of the released checkpoints, or configs."""
    with torch.device("meta"):
        model = NeRF(NeRFConfig(depth=depth, width=width))
    for field in (model.coarse, model.fine):
        assert sum(p.numel() for p in field.parameters()) == parameters


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_skip_joins_the_next_layer_if_there_is_one(depth):
    """Without it a shallow network would end in an error of PyTorch, or a deep one lose its skip connection."""
    field = seeded(NeRFConfig(depth=depth, width=8, skip=1))
    assert [layer.in_features for layer in field.layers] == [63, 8, 8 + 63, 8, 8][:depth]
    assert field(*some_points()).shape == (5, 4, 4)


class ByHand:
    """The field of three layers of width 8 (`SMALL`) in plain functions, and what DFA makes of it, matrix by matrix.

    Written from the description alone: four ReLU layers (here three), the position joined to the third; the density
    from the last; the feature layer, with a ReLU in the released 4×128 field and without one in NeRF's own; direction
    and feature joined in a ReLU layer of half the width; the colour from that.
    """

    def __init__(self, weights: dict[str, Tensor], feature_relu: bool) -> None:
        self.weights, self.feature_relu = weights, feature_relu

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def forward(self, positions: Tensor, directions: Tensor) -> Tensor:
        """(rays, samples, 4); keeps each layer's input and its output before the ReLU."""
        x = encoded_by_hand(positions, SMALL.position_frequencies)
        d = encoded_by_hand(directions, SMALL.direction_frequencies)[:, None].expand(-1, positions.shape[1], -1)
        self.inputs, self.before = {}, {}

        def layer(name: str, given: Tensor) -> Tensor:
            self.inputs[name], self.before[name] = given, self.linear(name, given)
            return self.before[name]

        h = layer("layers.0", x).clamp(min=0)
        h = layer("layers.1", h).clamp(min=0)
        h = layer("layers.2", torch.cat([x, h], dim=-1)).clamp(min=0)
        density = layer("density", h)
        feature = layer("feature", h)
        if self.feature_relu:
            feature = feature.clamp(min=0)
        view = layer("direction", torch.cat([d, feature], dim=-1)).clamp(min=0)
        return torch.cat([layer("colour", view), density], dim=-1)

    def gradients(self, error: Tensor, shared: Tensor) -> dict[str, Tensor]:
        """DFA's, of every parameter. error: e = dL/d(raw) (rays, samples, 4). shared: B (4, 8), as drawn.

        A layer behind a point gets the first columns of B times e, over the root of the widest point (8), through its
        own ReLU; the density and the colour get their true gradient.
        """
        deltas = {"density": error[..., 3:], "colour": error[..., :3]}
        for name in ("layers.0", "layers.1", "layers.2", "feature", "direction"):
            before = self.before[name]
            signal = error @ shared[:, : before.shape[-1]] / math.sqrt(8)
            has_relu = name != "feature" or self.feature_relu
            deltas[name] = signal * (before > 0) if has_relu else signal
        found = {}
        for name, delta in deltas.items():
            found[f"{name}.weight"] = torch.einsum("rso,rsi->oi", delta, self.inputs[name])
            found[f"{name}.bias"] = delta.sum((0, 1))
        return found


def encoded_by_hand(x: Tensor, frequencies: int) -> Tensor:
    waves = [wave(2**k * x) for k in range(frequencies) for wave in (torch.sin, torch.cos)]
    return torch.cat([x, *waves], dim=-1)


@pytest.mark.parametrize("feature_relu", [True, False])
def test_the_field_and_its_gradients_are_those_worked_out_by_hand(feature_relu):
    """Without it an activation too many or too few passes for the released network: the parameter count is the same.

    The concatenations done in parts, a point on the wrong side of its ReLU, another point's columns or divisor would
    show here too. With the ReLU some features are negative before it, so that it cannot be overlooked.
    """
    field = seeded(replace(SMALL, feature_relu=feature_relu)).double()
    method = make_method("dfa", field).double()
    shared = torch.rand(4, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 2 - 1
    for name, width in {**{f"points.{i}": 8 for i in range(3)}, "feature_point": 8, "direction_point": 4}.items():
        method.matrix(name).copy_(shared[:, :width] / math.sqrt(8))
    positions, directions = (points.double() for points in some_points())
    raw = field(positions, directions)
    method.backward(0.5 * raw.square().sum())  # whose e is raw itself

    oracle = ByHand({name: p.detach() for name, p in field.named_parameters()}, feature_relu)
    expected = oracle.forward(positions, directions)
    torch.testing.assert_close(raw.detach(), expected)
    assert 0.2 < (oracle.before["feature"] < 0).double().mean() < 0.8
    gradients = oracle.gradients(expected, shared)
    assert gradients.keys() == dict(field.named_parameters()).keys()
    for name, parameter in field.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], msg=lambda text, name=name: f"{name}: {text}")


def test_the_matrices_by_hand_are_scaled_as_the_engine_s():
    """Without it the oracle above would put a scale in place that no run has: B uniform on [-1, 1), over √8."""
    method = make_method("dfa", seeded(SMALL))
    drawn = method.matrix("points.0") * math.sqrt(8)
    assert 0.9 < drawn.abs().max() <= 1
    assert torch.equal(method.matrix("direction_point"), method.matrix("feature_point")[:, :4])


def shipped(task: str, profile: str) -> NeRFConfig:
    return NeRFConfig(**compose([f"task={task}", f"profile={profile}", "method=bp"]).task.model)


def test_the_shipped_networks_are_the_released_and_the_published_one():
    """Without it a profile or a scene could train the field without the ReLU under the name of the released one."""
    released = {task.name: task for task in tasks().values() if task.architecture == "nerf"}
    assert len(released) == len(SYNTHETIC_SCENES) + len(REAL_SCENES) - 2  # these two have files
    files = ("nerf_synthetic/lego", "llff_real/fern", "capture/own")
    assert all(shipped(task, "paper").feature_relu for task in [*files, next(iter(released))])
    assert all(shipped("nerf_synthetic/lego", profile).feature_relu for profile in ("smoke", "quick", "long"))
    for task in ("nerf_synthetic/lego_8x256", "llff_real/fern_8x256"):
        assert not shipped(task, "paper").feature_relu
    paper = shipped("nerf_synthetic/lego", "paper")
    assert (paper.depth, paper.width) == (4, 128)


@pytest.mark.parametrize("sizes", [{"depth": 4, "width": 128}, {"depth": 8, "width": 256}])
def test_density_bias_keeps_fields_from_starting_empty(sizes):
    """Without it some seeds would never learn: behind the ReLU of a negative density there is no gradient."""
    for seed in range(4):
        torch.manual_seed(seed)
        field = RadianceField(NeRFConfig(**sizes, density_bias=0.5))
        assert (field(*some_points(20, 8))[..., 3] > 0).all()


def test_density_does_not_depend_on_the_direction():
    """Without it geometry could be faked view by view, and held-out views would suffer for unseen reasons."""
    field = seeded(SMALL)
    positions, directions = some_points()
    one, other = field(positions, directions), field(positions, -directions)
    assert torch.equal(one[..., 3], other[..., 3])
    assert not torch.allclose(one[..., :3], other[..., :3])


def test_feedback_points_are_the_published_ones():
    """Without it a dropped point would leave its layer frozen, or trained by its neighbour's signal."""
    layout = make_method("dfa", seeded(NeRFConfig(depth=4, width=128))).layout
    points = {name: point.width for name, point in layout.points.items()}
    assert points == {f"points.{i}": 128 for i in range(4)} | {"feature_point": 128, "direction_point": 64}
    assert set(layout.tap_of.values()) == {"tap"}


def dfa_step(field: nn.Module) -> tuple[nn.Module, Tensor]:
    """One backward under `dfa`; the method and the error e = dL/d(raw), known by the loss ½ Σ raw²."""
    method = make_method("dfa", field)
    raw = field(*some_points())
    method.backward(0.5 * raw.square().sum())
    return method, raw.detach()


def test_every_parameter_learns_by_the_formula():
    """Without it a layer could get another point's matrix, or a gradient through a path around the cuts."""
    field = seeded(SMALL)
    method, error = dfa_step(field)
    assert not method.untrained_parameters()
    inputs: dict[str, Tensor] = {}
    field.layers[1].register_forward_hook(lambda module, args, out: inputs.update(h=args[0], pre=out.clone()))
    with torch.no_grad():
        field(*some_points())
    delta = (error @ method.matrix("points.1")) * (inputs["pre"] > 0)  # B e ⊙ relu'(a), (rays, samples, width)
    torch.testing.assert_close(field.layers[1].weight.grad, torch.einsum("rso,rsi->oi", delta, inputs["h"]))
    torch.testing.assert_close(field.layers[1].bias.grad, delta.sum((0, 1)))


def test_joined_layers_learn_by_the_formula_too():
    """Without it the layer that is computed in parts could get the gradient of one part only."""
    field = seeded(SMALL)
    method, error = dfa_step(field)
    positions, directions = some_points()
    with torch.no_grad():
        x = field.encode_position(positions)
        h = F.relu(field.layers[1](F.relu(field.layers[0](x))))
        h = F.relu(field.layers[2](torch.cat([x, h], dim=-1)))
        d = field.encode_direction(directions)[:, None].expand(-1, positions.shape[1], -1)
        joined = torch.cat([d, field.feature(h)], dim=-1)
        delta = (error @ method.matrix("direction_point")) * (field.direction(joined) > 0)
    torch.testing.assert_close(field.direction.weight.grad, torch.einsum("rso,rsi->oi", delta, joined))


def test_each_signal_trains_its_own_layer_alone():
    """Without it a bypassed point would go unseen: its layer would learn by backprop from the next one's signal."""
    field = seeded(SMALL)
    method = make_method("dfa", field)
    signals = method.signals
    layers = {f"points.{i}": f"layers.{i}" for i in range(3)}
    layers |= {"feature_point": "feature", "direction_point": "direction"}
    for point, layer in layers.items():
        field.zero_grad(set_to_none=True)
        method.signals = lambda forward_pass, point=point: {point: signals(forward_pass)[point]}
        method.backward(field(*some_points()).square().sum())
        learned = {name.rpartition(".")[0] for name, p in field.named_parameters() if p.grad is not None}
        assert learned == {layer, "colour", "density"}


def test_shallow_trains_colour_and_density_alone():
    """Without it a cut that leaks would flatter the control."""
    field = seeded(SMALL)
    method = make_method("shallow", field)
    method.backward(field(*some_points()).square().sum())
    learned = {name for name, p in field.named_parameters() if p.grad is not None}
    assert learned == {"colour.weight", "colour.bias", "density.weight", "density.bias"}


def two_field_gradients(of_coarse: float, of_fine: float) -> dict[str, Tensor]:
    """DFA's, of one step in which the two renderings' losses have these factors."""
    model = seeded(SMALL, NeRF)
    method = make_method("dfa", model)
    coarse, fine = model(some_rays(), OPTIONS, random=True, generator=torch.Generator().manual_seed(3))
    method.backward(of_coarse * coarse.rgb.square().sum() + of_fine * fine.rgb.square().sum())
    assert not method.untrained_parameters()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize(("part", "factors"), [("coarse", (1, 0)), ("fine", (0, 1))])
def test_coarse_and_fine_errors_stay_apart(part, factors):
    """Without it the fine network's error could reach the coarse one's points: both run in the same step."""
    alone, together = two_field_gradients(*factors), two_field_gradients(1, 1)
    for name, gradient in alone.items():
        if name.startswith(part):
            assert gradient.any(), name
            torch.testing.assert_close(gradient, together[name])
        else:
            assert not gradient.any(), name


@pytest.mark.parametrize(("sizes", "message"), [({"width": 7}, "must be even"), ({"depth": 0}, "must be 1 or more")])
def test_impossible_sizes_are_refused(sizes, message):
    """Without it PyTorch's error about some shape would be the message."""
    with pytest.raises(ValueError, match=rf"task\.model\.\w+=\d: {message}"):
        NeRFConfig(**sizes)
