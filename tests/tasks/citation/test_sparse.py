"""Products with a fixed sparsity pattern, against the dense ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.tasks.citation.graph import FeatureLinear, Features
from benchmarks.tasks.citation.sparse import Pattern, sddmm, spmm
from tests.helpers.citation_samples import gradients_of, sample_data

ROWS, COLUMNS, CHANNELS = 6, 5, 3


def drawn(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def pattern_and_mask(density: float, seed: int = 0) -> tuple[Pattern, Tensor]:
    """A random pattern whose row 2 and column 3 are empty, and the same as a 0/1 matrix."""
    mask = torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(seed)) < density
    mask[2], mask[:, 3] = False, False
    return Pattern(*mask.nonzero(as_tuple=True), (ROWS, COLUMNS)), mask


def scattered(values: Tensor, mask: Tensor) -> Tensor:
    """The dense matrix with ``values`` at the pattern's positions."""
    return values.new_zeros(mask.shape).index_put(mask.nonzero(as_tuple=True), values)


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_spmm_and_its_gradients_are_the_dense_ones(density):
    """Without it a transposed pattern, or a row off by one, would still train, on another graph than the given."""
    pattern, mask = pattern_and_mask(density)
    values, dense = drawn(int(mask.sum()), seed=1), drawn(COLUMNS, CHANNELS, seed=2)
    ours, theirs = spmm(pattern, values, dense), scattered(values, mask) @ dense
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients_of(ours, [values, dense]), gradients_of(theirs, [values, dense]))


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_sddmm_and_its_gradients_are_the_dense_ones(density):
    """Without it attention scores could belong to the edge the other way round, which a symmetric graph hides."""
    pattern, mask = pattern_and_mask(density)
    left, right = drawn(ROWS, CHANNELS, seed=1), drawn(COLUMNS, CHANNELS, seed=2)
    ours, theirs = sddmm(pattern, left, right), (left @ right.T)[mask]
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients_of(ours, [left, right]), gradients_of(theirs, [left, right]))


def test_gradients_by_finite_differences():
    """Without it both sides of the comparisons above could share a mistake of the test's dense form."""
    pattern, mask = pattern_and_mask(0.5)
    values, dense = drawn(int(mask.sum()), seed=1), drawn(COLUMNS, CHANNELS, seed=2)
    left = drawn(ROWS, CHANNELS, seed=3)
    assert torch.autograd.gradcheck(lambda v, d: spmm(pattern, v, d), (values, dense))
    assert torch.autograd.gradcheck(lambda a, b: sddmm(pattern, a, b), (left, dense))


def test_a_gradient_nobody_needs_is_not_computed():
    """Without it every step would pay for the gradient of the input features."""
    pattern, mask = pattern_and_mask(0.5)
    values, dense = drawn(int(mask.sum()), seed=1), drawn(COLUMNS, CHANNELS, seed=2)
    spmm(pattern, values.detach(), dense).sum().backward()
    spmm(pattern, values, dense.detach()).sum().backward()
    assert dense.grad is not None and values.grad is not None


def test_results_do_not_depend_on_what_memory_held(monkeypatch):
    """Without it an output that is allocated but not cleared would hand on NaN, now and then, from freed tensors."""
    new_empty = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda *args, **options: new_empty(*args, **options).fill_(torch.nan))
    for density in (0.0, 0.4):
        pattern, mask = pattern_and_mask(density)
        values, dense = drawn(int(mask.sum()), seed=1), drawn(COLUMNS, CHANNELS, seed=2)
        left = drawn(ROWS, CHANNELS, seed=3)
        product, scores = spmm(pattern, values, dense), sddmm(pattern, left, dense)
        results = [product, scores, *gradients_of(product, [values, dense]), *gradients_of(scores, [left, dense])]
        assert all(bool(result.isfinite().all()) for result in results)


def test_features_keep_every_entry():
    """Without it a word lost on the way from the dense matrix would only cost a little accuracy."""
    x = sample_data().x
    features = Features.of(x)
    assert features.width == x.size(1)
    torch.testing.assert_close(features.pattern.matrix(features.values).to_dense(), x)
    torch.testing.assert_close(features.pattern.transposed(features.values).to_dense(), x.T)


def test_dropout_of_features_keeps_mean_and_zeros():
    """Without it dropout could forget to scale up, and evaluation would see larger inputs than training."""
    x = torch.ones(200, 50) * (torch.arange(50) % 2)
    features = Features.of(x)
    torch.manual_seed(0)
    dropped = features.dropout(0.6, training=True)
    assert dropped.pattern is features.pattern
    assert dropped.values.unique().tolist() == pytest.approx([0.0, 2.5], rel=1e-4)
    assert abs(dropped.values.mean().item() - 1) < 0.05
    assert torch.equal(features.dropout(0.6, training=False).values, features.values)


@pytest.mark.parametrize("bias", [True, False])
def test_feature_linear_is_the_dense_layer(bias):
    """Without it the first layer, most of every network's weights, would not be the published one."""
    x = sample_data().x
    layer = FeatureLinear(x.size(1), 4, bias=bias)
    parameters = list(layer.parameters())
    ours = layer(Features.of(x))
    theirs = torch.nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients_of(ours, parameters), gradients_of(theirs, parameters))
