"""Samples along rays and volume rendering, against closed forms, analytic distributions and finite differences."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from benchmarks.tasks.view_synthesis import rendering
from benchmarks.tasks.view_synthesis.config import NeRFConfig, RenderOptions
from benchmarks.tasks.view_synthesis.rendering import NeRF, Rays, integrate, interval_lengths, transmittance_weights
from benchmarks.tasks.view_synthesis.sampling import from_histogram, hierarchical, stratified
from dfa_core import make_method

EDGES = torch.tensor([0.0, 0.5, 2.0, 2.5, 4.0], dtype=torch.float64)
WEIGHTS = torch.tensor([3.0, 1.0, 0.0, 4.0], dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def kolmogorov(samples: Tensor, cdf_at: Tensor) -> float:
    """Largest distance between the empirical distribution of ascending samples and the CDF at them."""
    n = len(samples)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    return torch.maximum((cdf_at - steps[:-1]).abs(), (cdf_at - steps[1:]).abs()).max().item()


def piecewise_cdf(t: Tensor) -> Tensor:
    """Of the density that is WEIGHTS in the bins of EDGES, each weight spread evenly over its bin."""
    shares = ((t[:, None] - EDGES[:-1]) / EDGES.diff()).clamp(0, 1)  # how much of each bin lies below t
    return shares @ WEIGHTS / WEIGHTS.sum()


@pytest.mark.parametrize("random", [False, True])
def test_histogram_samples_follow_the_distribution(random):
    """Without it the fine network would look beside the surfaces, which costs decibels and shows no error."""
    n = 20_000
    t = from_histogram(EDGES[None], 1e3 * WEIGHTS[None], n, random, generator()).squeeze(0)
    distance = kolmogorov(t.sort().values, piecewise_cdf(t.sort().values))
    # Quantiles in the middle of equal parts are half a part off; 1.95 / √n is exceeded with probability 0.001.
    assert distance < (1.95 / n**0.5 if random else 0.5 / n + 1e-6)


def test_each_ray_has_its_own_histogram():
    """Without it all rays could be sampled by the first one's weights."""
    weights = 1e3 * torch.eye(4, dtype=torch.float64)
    t = from_histogram(EDGES.expand(4, -1), weights, 50, random=True, generator=generator())
    inside = (t >= EDGES[:-1, None] - 1e-3) & (t <= EDGES[1:, None] + 1e-3)
    assert inside.double().mean() > 0.99


@pytest.mark.parametrize("weights", [torch.zeros(2, 6), torch.tensor([[0, 0, 1.0, 0, 0, 0]] * 2)])
@pytest.mark.parametrize("random", [False, True])
def test_degenerate_weights_give_samples_in_bounds(weights, random):
    """Without it a ray that meets nothing, or one opaque sample in fp32, would divide by zero."""
    t = from_histogram(torch.linspace(2, 6, 7).expand(2, -1), weights, 1000, random, generator())
    assert t.isfinite().all() and t.min() >= 2 and t.max() <= 6


@pytest.mark.parametrize("random", [False, True])
def test_stratified_samples_lie_one_in_each_interval(random):
    """Without it parts of a ray could go unseen, or be seen at the same places in every step."""
    t = stratified(torch.empty(1000, 3), 2.0, 6.0, 8, random, generator())
    assert t.shape == (1000, 8)
    within = (t - 2) / 0.5 - torch.arange(8)
    assert within.min() >= 0 and within.max() <= 1
    if random:
        flat = within.flatten().double().sort().values
        assert kolmogorov(flat, flat) < 1.95 / len(flat) ** 0.5
    else:
        assert torch.allclose(within, torch.tensor(0.5), atol=1e-5)


def test_hierarchical_keeps_the_coarse_samples_and_adds_some_at_the_weight():
    """Without it the fine network could lose samples, get them unsorted, or carry gradients into the placement."""
    t = stratified(torch.empty(3, 3), 2.0, 6.0, 16, True, generator())
    weights = torch.zeros(3, 16).index_fill_(1, torch.tensor([5]), 1.0).requires_grad_()
    fine = hierarchical(t, weights, 20, True, generator())
    assert fine.shape == (3, 36) and not fine.requires_grad
    assert (fine.diff(dim=-1) >= 0).all()
    assert all(torch.isin(own, all_).all() for own, all_ in zip(t, fine, strict=True))
    low, high = (t[:, 4:5] + t[:, 5:6]) / 2, (t[:, 5:6] + t[:, 6:7]) / 2
    assert ((fine >= low) & (fine <= high)).sum(-1).eq(21).all()  # the 20 and sample 5 itself


def test_weights_of_constant_density_are_the_closed_form():
    """Without it light could be lost or counted twice: w_i = exp(-σ (t_i - t_1)) - exp(-σ (t_{i+1} - t_1))."""
    sigma, t = 0.7, torch.rand(3, 20, dtype=torch.float64, generator=generator()).sort(dim=-1).values * 4 + 2
    directions = torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 3, 4]], dtype=torch.float64)  # lengths 1, 2, 5
    weights = transmittance_weights(torch.full_like(t, sigma), interval_lengths(t, directions))
    length = torch.tensor([[1.0], [2.0], [5.0]], dtype=torch.float64)
    transmitted = torch.exp(-sigma * (t - t[:, :1]) * length)  # up to each sample
    behind = torch.cat([transmitted[:, 1:], torch.zeros(3, 1, dtype=torch.float64)], dim=-1)
    torch.testing.assert_close(weights, transmitted - behind, rtol=1e-12, atol=1e-14)


def one_ray(density: list[float], background: float, noise: Tensor | float = 0.0) -> rendering.Rendering:
    """Three samples of red, green and blue, raw colours ±20, at t = 2, 3 and 4."""
    raw = torch.cat([40 * torch.eye(3) - 20, torch.tensor(density)[:, None]], dim=-1)
    return integrate(raw[None], torch.tensor([[2.0, 3.0, 4.0]]), torch.tensor([[0, 0, 1.0]]), background, noise)


def test_background_depth_and_opacity():
    """Without it transparent pixels of a Blender scene would be black in front of white, or surfaces misplaced."""
    nothing = one_ray([-1.0, -2.0, -3.0], background=1.0)
    assert nothing.rgb.tolist() == [[1, 1, 1]] and nothing.opacity.item() == 0
    assert one_ray([-1.0, -2.0, -3.0], background=0.0).rgb.tolist() == [[0, 0, 0]]
    wall = one_ray([-1.0, 50.0, 1.0], background=1.0)
    torch.testing.assert_close(wall.rgb, torch.tensor([[0.0, 1.0, 0.0]]), atol=1e-6, rtol=0)
    assert wall.depth.item() == pytest.approx(3) and wall.opacity.item() == pytest.approx(1)
    half = one_ray([0.6931472, -1.0, -1.0], background=1.0)  # ln 2 over a length of 1
    torch.testing.assert_close(half.rgb, torch.tensor([[1.0, 0.5, 0.5]]), atol=1e-6, rtol=0)


def test_noise_is_added_before_the_relu():
    """Without it noise could make negative densities, or not revive a dead one."""
    assert one_ray([-1.0, -1.0, -1.0], 0.0, torch.tensor([[0.0, 60.0, 0.0]])).depth.item() == pytest.approx(3)
    assert one_ray([5.0, 1.0, 1.0], 0.0, torch.full((1, 3), -9.0)).opacity.item() == 0


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_gradient_is_that_of_finite_differences(background):
    """Without it every method would train on a wrong error: the renderer is differentiated exactly in all of them."""
    raw = torch.randn(2, 6, 4, dtype=torch.float64, generator=generator(4))
    raw[..., 3] += 0.3 * raw[..., 3].sign()  # away from the kink of the ReLU
    raw[0, :, 3] = raw[0, :, 3].abs()
    t = torch.linspace(2, 6, 6, dtype=torch.float64).expand(2, -1)
    directions = torch.tensor([[0, 0, 1.0], [0, 1.0, 1.0]], dtype=torch.float64)
    render = partial(integrate, t=t, directions=directions, background=background)
    assert torch.autograd.gradcheck(render, raw.requires_grad_())


def test_huge_densities_stay_finite():
    """Without it one exploding density behind LAST_INTERVAL would make a step's gradients NaN."""
    raw = torch.full((1, 4, 4), 1e20, requires_grad=True)
    out = integrate(raw, torch.tensor([[2.0, 3.0, 4.0, 5.0]]), torch.tensor([[0, 0, 1.0]]), 1.0)
    out.rgb.sum().backward()
    assert out.rgb.isfinite().all() and raw.grad.isfinite().all()


def model_and_rays(count: int) -> tuple[NeRF, Rays, RenderOptions]:
    torch.manual_seed(0)
    model = NeRF(NeRFConfig(depth=2, width=16))
    directions = torch.nn.functional.normalize(torch.randn(count, 3), dim=-1)
    options = RenderOptions(near=2.0, far=6.0, coarse_samples=8, fine_samples=8, density_noise=1.0)
    return model, Rays(torch.randn(count, 3), directions, directions), options


class Wall(nn.Module):
    """A field that is dense at depths of 4 to 4.5 and remembers where it was asked."""

    def forward(self, positions: Tensor, directions: Tensor) -> Tensor:
        self.depths = positions[..., 2]
        density = 100.0 * ((self.depths > 4) & (self.depths < 4.5))
        return torch.stack([torch.zeros_like(density)] * 3 + [density], dim=-1)


def test_fine_samples_go_where_the_coarse_field_is_dense():
    """Without it the fine field could be asked anywhere, and would only be a second coarse one."""
    model, _, options = model_and_rays(0)
    model.coarse, model.fine = Wall(), Wall()
    ahead = torch.tensor([[0.0, 0.0, 1.0]])
    model(Rays(torch.zeros(1, 3), ahead, ahead), options)  # coarse samples every half, from 2.25 on
    torch.testing.assert_close(model.coarse.depths, torch.arange(2.25, 6, 0.5)[None])
    assert model.fine.depths.shape == (1, 16)
    assert ((model.fine.depths > 4) & (model.fine.depths < 4.5)).sum() == 9  # the eight and the coarse one


def test_chunks_make_the_whole(monkeypatch):
    """Without it a picture could have seams, miss its last rays, or need the memory of all rays at once."""
    model, rays, options = model_and_rays(25)
    largest, done = [], []
    render = rendering.render_field
    monkeypatch.setattr(
        rendering, "render_field", lambda field, part, *a: largest.append(len(part.views)) or render(field, part, *a)
    )
    picture = rendering.render_in_chunks(model, rays, options, chunk=8, on_chunk=done.append)
    assert max(largest) == 8 and done == [8, 8, 8, 1]
    _, fine = model(rays, options)
    for part, whole in zip(picture, fine[:3], strict=True):
        assert not part.requires_grad
        torch.testing.assert_close(part, whole.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["bp", "dfa"])
def test_a_step_reads_no_value_on_the_host(method):
    """Without it a GPU would wait for the host in every step. Tensors on `meta` have no values that could be read."""
    model, rays, options = model_and_rays(5)
    model, rays = model.to("meta"), Rays(*(part.to("meta") for part in rays))
    trainer = make_method(method, model)
    coarse, fine = model(rays, options, random=True)
    trainer.backward(coarse.rgb.square().mean() + fine.rgb.square().mean())
    assert not trainer.untrained_parameters()


@pytest.mark.parametrize("method", ["bp", "dfa"])
def test_bf16_autocast_keeps_the_renderer_in_fp32(method):
    """Without it autocast would fail where layers are computed in parts, or round colours to fewer than 256 steps."""
    model, rays, options = model_and_rays(5)
    trainer = make_method(method, model)
    with torch.autocast("cpu", torch.bfloat16):
        coarse, fine = model(rays, options, random=True)
    assert {part.dtype for part in (*coarse, *fine)} == {torch.float32}
    trainer.backward(coarse.rgb.square().mean() + fine.rgb.square().mean())
    assert not trainer.untrained_parameters()


def test_randomness_is_the_generators_and_only_in_training():
    """Without it a resumed run could not repeat its steps, and two renderings of a view would differ."""
    model, rays, options = model_and_rays(5)
    first, again, other = (model(rays, options, True, generator(seed))[1].rgb for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(model(rays, options)[1].rgb, model(rays, options)[1].rgb)


@pytest.mark.parametrize("wrong", [{"near": 6.0}, {"coarse_samples": 2}, {"fine_samples": 0}, {"density_noise": -1.0}])
def test_impossible_options_are_refused(wrong):
    """Without it a ray without samples would end in somebody else's error."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RenderOptions(**({"near": 2.0, "far": 6.0} | wrong))
