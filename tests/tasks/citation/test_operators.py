"""Graph operators against PyG's with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import ChebConv as PyGChebConv
from torch_geometric.nn import DNAConv as PyGDNAConv
from torch_geometric.nn import GATConv as PyGGATConv
from torch_geometric.nn import GCNConv as PyGGCNConv

from benchmarks.tasks.citation.cheb import ChebConv
from benchmarks.tasks.citation.dna import DNAConv
from benchmarks.tasks.citation.edges import Edges, GCNConv
from benchmarks.tasks.citation.gat import GATConv
from benchmarks.tasks.citation.graph import FeatureLinear, Graph, without_projection
from tests.helpers.citation_samples import gradients_of, randomize, sample_data, sample_graph


def assert_same_layer(ours: Tensor, parameters: list[Tensor], theirs: Tensor, their_parameters: list[Tensor]) -> None:
    """Same output, same gradients."""
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for mine, their in zip(gradients_of(ours, parameters), gradients_of(theirs, their_parameters), strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-5)


LAYERS = {
    "gcn": (lambda width: GCNConv(width, 6), lambda width: PyGGCNConv(width, 6)),
    "gat": (lambda width: GATConv(width, 2, heads=3, dropout=0.5), lambda width: PyGGATConv(width, 2, heads=3)),
    "gat one head": (lambda width: GATConv(width, 6, heads=1, dropout=0.5), lambda width: PyGGATConv(width, 6)),
}


@pytest.mark.parametrize(("ours", "theirs"), LAYERS.values(), ids=LAYERS)
def test_convolution_is_pygs(ours, theirs):
    """Without it a neighbour could be weighted by the wrong end's degree or score, which costs a point or two."""
    graph = sample_graph()
    x = torch.randn(graph.nodes, 5, generator=torch.Generator().manual_seed(3), requires_grad=True)
    ours, theirs = ours(5).eval(), theirs(5)
    randomize(theirs)
    ours.load_state_dict(theirs.state_dict())
    for _ in range(2):  # the second time the edges come from the first
        out = ours(x, graph.edge_index)
    assert_same_layer(out, [x, *ours.parameters()], theirs(x, graph.edge_index), [x, *theirs.parameters()])


@pytest.mark.parametrize(("ours", "theirs"), LAYERS.values(), ids=LAYERS)
def test_projecting_first_is_the_whole_convolution(ours, theirs):
    """Without it the split into a sparse projection and the rest could apply a weight twice, or not at all."""
    graph, x = sample_graph(), sample_data().x
    theirs = theirs(graph.x.width)
    project, rest = FeatureLinear(graph.x.width, 6, bias=False), without_projection(ours(6)).eval()
    randomize(theirs)
    weights = dict(theirs.named_parameters())
    first = weights.pop("lin.weight")
    project.load_state_dict({"weight": first})
    rest.load_state_dict(weights)
    own = dict(rest.named_parameters())
    assert_same_layer(
        rest(project(graph.x), graph.edge_index),
        [project.weight, *(own[name] for name in weights)],
        theirs(x, graph.edge_index),
        [first, *weights.values()],
    )


def test_gat_survives_large_scores():
    """Without it the softmax written out could overflow once attention has become sharp."""
    graph = sample_graph()
    x = torch.randn(graph.nodes, 5, generator=torch.Generator().manual_seed(3))
    ours, theirs = GATConv(5, 2, heads=3, dropout=0.0), PyGGATConv(5, 2, heads=3)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(5)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x, graph.edge_index), theirs(x, graph.edge_index), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("sparse_input", [True, False])
def test_cheb_is_pygs(order, sparse_input):
    """Without it Clenshaw's recurrence could be off for orders the paper does not use, or by a factor of two."""
    graph, x = sample_graph(), sample_data().x
    theirs = PyGChebConv(graph.x.width, 4, order)
    randomize(theirs)
    ours = ChebConv(graph.x.width, 4, order, sparse_input=sparse_input)
    ours.load_state_dict(theirs.state_dict())
    for _ in range(2):  # the second time the Laplacian comes from the first
        out = ours(graph.x if sparse_input else x, graph.edge_index, graph.nodes)
    assert_same_layer(out, list(ours.parameters()), theirs(x, graph.edge_index), list(theirs.parameters()))


def test_cheb_hands_the_gradient_to_its_input():
    """Without it the layer below the second convolution would train on a wrong gradient under backprop."""
    graph = sample_graph()
    x = torch.randn(graph.nodes, 5, generator=torch.Generator().manual_seed(3), requires_grad=True)
    theirs = PyGChebConv(5, 4, 3)
    ours = ChebConv(5, 4, 3)
    ours.load_state_dict(theirs.state_dict())
    assert_same_layer(ours(x, graph.edge_index, graph.nodes), [x], theirs(x, graph.edge_index), [x])


def edges_of(graph: Graph) -> Edges:
    return Edges.normalised(graph.edge_index, graph.nodes)


def by_head(x: Tensor, heads: int) -> Tensor:
    """``(nodes, layers, channels)`` → ``(heads, nodes, layers, width)``."""
    return x.view(*x.shape[:2], heads, -1).permute(2, 0, 1, 3)


@pytest.mark.parametrize("layers", [1, 4])
@pytest.mark.parametrize(("heads", "groups"), [(1, 1), (1, 4), (2, 2), (2, 4), (4, 8), (8, 8), (8, 16)])
def test_dna_is_pygs(heads, groups, layers):
    """Without it the faster attention could mix heads or layers up, and all DNA numbers would be another network's."""
    graph, channels = sample_graph(), 16
    theirs = PyGDNAConv(channels, heads, groups).double()
    randomize(theirs)
    ours = DNAConv(channels, heads, groups, dropout=0.0).double()
    ours.load_state_dict(theirs.state_dict())
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(graph.nodes, layers, channels, generator=generator, dtype=torch.float64, requires_grad=True)
    edges = edges_of(graph)
    edges.weight = edges.weight.double()
    out = ours(by_head(x, heads), edges)
    assert_same_layer(out, [x, *ours.parameters()], theirs(x, graph.edge_index), [x, *theirs.parameters()])


def test_dna_survives_large_scores():
    """Without it the softmax written out could overflow once attention has become sharp."""
    graph = sample_graph()
    theirs = PyGDNAConv(8, 2, 2)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(60)
    ours = DNAConv(8, 2, 2, dropout=0.0)
    ours.load_state_dict(theirs.state_dict())
    x = 10 * torch.randn(graph.nodes, 3, 8, generator=torch.Generator().manual_seed(3))
    out = ours(by_head(x, 2), edges_of(graph))
    assert bool(out.isfinite().all())
    torch.testing.assert_close(out, theirs(x, graph.edge_index), rtol=1e-3, atol=1e-2)


DROPPING = {
    "dna": (lambda: DNAConv(8, 2, 2, dropout=0.5), lambda conv, x, graph: conv(by_head(x, 2), edges_of(graph))),
    "gat": (lambda: GATConv(24, 4, 2, dropout=0.5), lambda conv, x, graph: conv(x.flatten(1), graph.edge_index)),
}


@pytest.mark.parametrize(("make", "run"), DROPPING.values(), ids=DROPPING)
def test_dropout_of_attention_keeps_the_mean(make, run):
    """Without it training with dropout on attention could run without any, or unscaled."""
    graph, conv = sample_graph(), make()
    x = torch.randn(graph.nodes, 3, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = run(conv.eval(), x, graph)
        torch.manual_seed(0)
        draws = torch.stack([run(conv.train(), x, graph) for _ in range(500)])
    assert bool((draws.std(0) > 0.01).all())
    error_of_mean = draws.std(0) / len(draws) ** 0.5
    assert bool(((draws.mean(0) - expected).abs() < 5 * error_of_mean).all())


@pytest.mark.parametrize(("channels", "heads", "groups"), [(10, 2, 4), (16, 4, 2), (16, 3, 4), (16, 8, 12)])
def test_dna_refuses_sizes_that_do_not_divide(channels, heads, groups):
    """Without it a head would be made of parts of groups, and reshaping would mix channels up."""
    with pytest.raises(ValueError, match=rf"hidden={channels}, heads={heads}, groups={groups}: hidden must be"):
        DNAConv(channels, heads, groups, dropout=0.0)


STARTS = {
    "dna": (lambda: DNAConv(64, 2, 4, 0.0), lambda: PyGDNAConv(64, 2, 4)),
    "cheb": (lambda: ChebConv(90, 30, 2), lambda: PyGChebConv(90, 30, 2)),
    "cheb sparse": (lambda: ChebConv(90, 30, 2, sparse_input=True), lambda: PyGChebConv(90, 30, 2)),
    "gcn": (lambda: GCNConv(90, 30), lambda: PyGGCNConv(90, 30)),
    "gat": (lambda: GATConv(90, 30, 8, 0.0), lambda: PyGGATConv(90, 30, 8)),
}


@pytest.mark.parametrize(("ours", "theirs"), STARTS.values(), ids=STARTS)
def test_weights_start_as_pygs(ours, theirs):
    """Without it an initialisation of another scale would pass every comparison that copies the weights."""
    torch.manual_seed(0)
    ours, theirs = dict(ours().named_parameters()), dict(theirs().named_parameters())
    assert {n: p.shape for n, p in ours.items()} == {n: p.shape for n, p in theirs.items()}
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter.std(), theirs[name].std(), rtol=0.15, atol=0, msg=name)
