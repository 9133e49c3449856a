"""Spline convolution against the written-out B-spline, and against PyG's where its kernels are installed."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import SplineConv as PyGSplineConv
from torch_geometric.nn.conv import spline_conv as pyg_spline
from torch_geometric.transforms import TargetIndegree

from benchmarks.tasks.citation.graph import target_indegree
from benchmarks.tasks.citation.spline import SplineConv, open_spline_basis
from tests.helpers.citation_samples import gradients_of, randomize, sample_data, sample_graph

SIZES = [(dim, kernel_size) for dim in (1, 2) for kernel_size in (2, 3, 5)]


def tent(u: float, knot: int, kernel_size: int) -> float:
    """The degree-1 B-spline with its peak at ``knot / (kernel_size − 1)``."""
    return max(0.0, 1 - abs(u * (kernel_size - 1) - knot))


def edge_kernel(weight: Tensor, u: list[float], kernel_size: int) -> Tensor:
    """Σ_p B_p(u) W_p over all products of tents, ``(in, out)``; the first dimension's knot counts fastest."""
    total = torch.zeros_like(weight[0])
    for knots in itertools.product(range(kernel_size), repeat=len(u)):
        product = 1.0
        for coordinate, knot in zip(u, knots, strict=True):
            product *= tent(coordinate, knot, kernel_size)
        total = total + product * weight[sum(knot * kernel_size**d for d, knot in enumerate(knots))]
    return total


def written_out(conv: SplineConv, x: Tensor, edge_index: Tensor, pseudo: Tensor) -> Tensor:
    """The layer as a loop over nodes and edges."""
    out = []
    for node in range(len(x)):
        arriving = (edge_index[1] == node).nonzero().flatten().tolist()
        row = conv.lin.weight @ x[node] + conv.bias
        for edge in arriving:
            kernel = edge_kernel(conv.weight, pseudo[edge].tolist(), conv.kernel_size)
            row = row + x[edge_index[0, edge]] @ kernel / len(arriving)
        out.append(row)
    return torch.stack(out)


def coordinates(edges: int, dim: int) -> Tensor:
    """Random pseudo-coordinates; among them both ends of the interval and a knot in the middle."""
    pseudo = torch.rand(edges, dim, generator=torch.Generator().manual_seed(1))
    pseudo[0], pseudo[1], pseudo[2] = 0, 1, 0.5
    pseudo[3, 0], pseudo[3, -1] = 0, 1
    return pseudo


@pytest.mark.parametrize(("dim", "kernel_size"), SIZES)
@pytest.mark.parametrize("sparse_input", [True, False])
def test_layer_is_the_written_out_formula(dim, kernel_size, sparse_input):
    """Without it a kernel mixed up with its neighbour, or a sum for a mean, would train almost as well."""
    graph, x = sample_graph(), sample_data().x
    pseudo = coordinates(graph.edge_index.size(1), dim)
    conv = SplineConv(graph.x.width, 4, dim, kernel_size)
    randomize(conv)
    parameters = list(conv.parameters())
    for _ in range(2):  # the second time the mixing matrix comes from the first
        ours = conv(graph.x if sparse_input else x, graph.edge_index, pseudo)
    theirs = written_out(conv, x, graph.edge_index, pseudo)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients_of(ours, parameters), gradients_of(theirs, parameters), rtol=1e-4, atol=1e-5)


def test_layer_hands_the_gradient_to_its_input():
    """Without it the layer below the second convolution would train on a wrong gradient under backprop."""
    graph = sample_graph()
    x = torch.randn(graph.nodes, 5, generator=torch.Generator().manual_seed(3), requires_grad=True)
    pseudo = coordinates(graph.edge_index.size(1), 1)
    conv = SplineConv(5, 4, 1, 3)
    theirs = written_out(conv, x, graph.edge_index, pseudo)
    torch.testing.assert_close(gradients_of(conv(x, graph.edge_index, pseudo), [x]), gradients_of(theirs, [x]))


def test_node_without_neighbours_keeps_its_root_term():
    """Without it an isolated node would divide by zero, and NaN would reach every weight (CiteSeer has 48 such)."""
    graph, x = sample_graph(), sample_data().x
    conv = SplineConv(graph.x.width, 4, 1, 2)
    randomize(conv)
    out = conv(graph.x, graph.edge_index, target_indegree(graph))
    torch.testing.assert_close(out[0], conv.lin.weight @ x[0] + conv.bias)


@pytest.mark.parametrize(("dim", "kernel_size"), SIZES)
def test_basis_is_a_partition_of_unity(dim, kernel_size):
    """Without it edges would weigh more or less by where their coordinate lies between two knots."""
    basis, kernel = open_spline_basis(coordinates(300, dim), kernel_size)
    assert basis.shape == kernel.shape == (300, 2**dim)
    torch.testing.assert_close(basis.sum(1), torch.ones(300))
    assert bool((basis >= 0).all())
    assert int(kernel.min()) >= 0 and int(kernel.max()) < kernel_size**dim
    assert len(kernel.unique()) == kernel_size**dim
    assert all(len(set(row)) == 2**dim for row in kernel.tolist())  # each kernel once an edge


@pytest.mark.parametrize("kernel_size", [2, 3, 5])
@pytest.mark.parametrize(("u", "knot"), [(0.0, 0), (1.0, -1)])
def test_ends_belong_to_the_outermost_kernels(kernel_size, u, knot):
    """Without it u = 1, the busiest node's edges, would wrap around to the first kernel or read past the last."""
    basis, kernel = open_spline_basis(torch.tensor([[u]]), kernel_size)
    weight_of = dict(zip(kernel[0].tolist(), basis[0].tolist(), strict=True))
    assert weight_of[knot % kernel_size] == 1.0
    assert sum(weight_of.values()) == 1.0


def test_pseudo_coordinate_is_pygs_target_indegree():
    """Without it the coordinate could be the source's degree, the same numbers on other edges."""
    data = sample_data()
    expected = TargetIndegree()(data.clone()).edge_attr
    torch.testing.assert_close(target_indegree(sample_graph()), expected)


def test_weights_start_as_published():
    """Without it the first layer could start at another scale; uniform within 1/√(kernels · inputs), as PyG's."""
    torch.manual_seed(0)
    conv = SplineConv(200, 30, 1, 2)
    for weight, bound in ((conv.weight, 400**-0.5), (conv.lin.weight, 200**-0.5)):
        assert bound * 0.99 < weight.abs().max().item() <= bound
    assert not conv.bias.any()


@pytest.mark.skipif(pyg_spline.spline_basis is None, reason="pyg-lib, which PyG's SplineConv needs, is not installed")
@pytest.mark.parametrize(("dim", "kernel_size"), SIZES)
def test_layer_is_pygs(dim, kernel_size):
    """Without it the formula above could be right and yet not the operator that the paper used."""
    graph, x = sample_graph(), sample_data().x
    pseudo = coordinates(graph.edge_index.size(1), dim)
    theirs = PyGSplineConv(graph.x.width, 4, dim, kernel_size)
    randomize(theirs)
    ours = SplineConv(graph.x.width, 4, dim, kernel_size)
    ours.load_state_dict(dict(theirs.named_parameters()))
    torch.testing.assert_close(
        ours(graph.x, graph.edge_index, pseudo), theirs(x, graph.edge_index, pseudo), rtol=1e-4, atol=1e-5
    )
