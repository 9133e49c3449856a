"""The radiance field: its encoding, its layout by parameter count and by hand, and what each signal trains."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.view_synthesis.config import NeRFConfig, RenderOptions
from benchmarks.view_synthesis.encoding import PositionalEncoding
from benchmarks.view_synthesis.network import RadianceField
from benchmarks.view_synthesis.rendering import NeRF, Rays
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


def test_output_is_that_of_the_figure():
    """Without it the concatenations done in parts, or a missing or added activation, could compute something else."""
    field = seeded(SMALL)
    positions, directions = some_points()
    x, d = field.encode_position(positions), field.encode_direction(directions)
    first, second, third = field.layers
    h = F.relu(second(F.relu(first(x))))
    h = F.relu(third(torch.cat([x, h], dim=-1)))
    seen_from = d[:, None].expand(-1, positions.shape[1], -1)
    view = F.relu(field.direction(torch.cat([seen_from, field.feature(h)], dim=-1)))
    expected = torch.cat([field.colour(view), field.density(h)], dim=-1)
    torch.testing.assert_close(field(positions, directions), expected, rtol=1e-5, atol=1e-6)


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
