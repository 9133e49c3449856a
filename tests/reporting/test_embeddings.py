"""The hidden layer: the right vectors of the right nodes, measured right, and a run undisturbed by being looked at."""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmarks.tasks.hidden_layer import file as files
from benchmarks.tasks.hidden_layer.activation import copied_weights, hidden_layer
from benchmarks.tasks.hidden_layer.file import Embedding, packed, read
from benchmarks.tasks.hidden_layer.separation import MOST_NODES, separation, some_of
from tests.helpers.citation_samples import normalized_adjacency, randomize, sample_graph
from tests.helpers.networks import networks_of
from tests.helpers.runs import build

NETWORKS = networks_of("citation")

in_a_folder = pytest.mark.usefixtures("folder")


def by_hand(points: list[list[float]], labels: list[int]) -> tuple[float, float]:
    """Silhouette and nearest-neighbour accuracy from their definitions, one pair of points at a time."""
    values, hits = [], 0
    for i, (point, label) in enumerate(zip(points, labels, strict=True)):
        far = {j: math.dist(point, other) for j, other in enumerate(points) if j != i}
        hits += labels[min(far, key=far.get)] == label
        mean = {c: [far[j] for j in far if labels[j] == c] for c in set(labels)}
        if not mean[label]:
            values.append(0.0)  # a class of one, by convention
            continue
        a = sum(mean[label]) / len(mean[label])
        b = min(sum(others) / len(others) for c, others in mean.items() if c != label)
        values.append((b - a) / max(a, b) if max(a, b) else 0.0)
    return sum(values) / len(values), 100 * hits / len(points)


def test_four_points_on_a_line():
    """Without it the numbers below a picture could be of another definition than the one stated."""
    line = torch.tensor([[0.0], [1.0], [10.0], [12.0]])
    found = separation(line, torch.tensor([0, 0, 1, 1]))
    assert found == {"silhouette": pytest.approx((10 / 11 + 9 / 10 + 7.5 / 9.5 + 9.5 / 11.5) / 4), "knn_accuracy": 100}
    mixed = separation(line, torch.tensor([0, 1, 0, 1]))
    assert mixed["silhouette"] < 0 and mixed["knn_accuracy"] == 0


@given(
    st.integers(0, 10**6),
    st.sampled_from([1e-6, 1.0, 1e6]),
    st.lists(st.integers(0, 2), min_size=4, max_size=20).filter(lambda labels: 1 < len(set(labels)) < len(labels)),
)
def test_separation_is_what_the_definition_says_at_any_scale(seed, scale, labels):
    """Without it rounding could pick neighbours where a method's activations are large, and rank the methods by it."""
    points = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    silhouette, nearest = by_hand(points.tolist(), labels)
    found = separation(points * scale, torch.tensor(labels))
    assert found == {"silhouette": pytest.approx(silhouette), "knn_accuracy": pytest.approx(nearest)}


def test_equal_vectors_are_each_others_nearest():
    """Without it nodes without edges, alike but for rounding, would take their neighbours from anywhere."""
    vectors = torch.tensor([[1e3, 1e-3]]).repeat(40, 1)
    vectors[20:] += 1e-4 * torch.tensor([0.0, 1.0])
    assert separation(vectors, torch.arange(40) // 20)["knn_accuracy"] == 100


@pytest.mark.parametrize(
    ("vectors", "labels"),
    [
        (torch.tensor([[0.0], [torch.nan], [1.0]]), [0, 0, 1]),
        (torch.tensor([[0.0], [torch.inf], [1.0]]), [0, 0, 1]),
        (torch.rand(3, 2), [1, 1, 1]),
        (torch.rand(3, 2), [0, 1, 2]),
        (torch.rand(0, 2), []),
    ],
)
def test_what_is_not_defined_is_left_out(vectors, labels):
    """Without it a run of hours would end in an error, or count as diverged, for the sake of a side metric."""
    assert separation(vectors, torch.tensor(labels)) == {}
    constant = separation(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))  # a layer that died
    assert constant["silhouette"] == 0


def test_the_choice_of_nodes_is_fixed_and_fair():
    """Without it methods would be compared on different nodes, or on the first classes of a sorted graph."""
    few = torch.tensor([5, 3, 9])
    assert some_of(few).tolist() == [3, 5, 9]
    many = torch.arange(0, 40_000, 2)
    chosen = some_of(many)
    assert torch.equal(chosen, some_of(many)) and len(chosen.unique()) == MOST_NODES
    assert bool(torch.isin(chosen, many).all()) and torch.equal(chosen, chosen.sort().values)
    assert abs(chosen.double().mean() - many.double().mean()) < 1500  # 5 standard errors


def network(name: str) -> tuple[nn.Module, object]:
    graph = sample_graph()
    kind, config = NETWORKS[name]
    small = config(hidden=16, layers=2, heads=2, groups=4) if name == "dna" else config()
    torch.manual_seed(0)
    model = kind(small, graph.x.width, graph.classes)
    randomize(model)
    return model, graph


def test_gcn_shows_its_first_layer():
    """Without it the picture could be of the scores, or of the layer before its ReLU."""
    model, graph = network("gcn")
    dense = graph.x.pattern.matrix(graph.x.values).to_dense()
    expected = (normalized_adjacency(graph) @ dense @ model.project.weight.t() + model.conv1.bias).relu()
    torch.testing.assert_close(hidden_layer(model, graph), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_hidden_layer_is_what_the_top_layer_reads(name):
    """Without it DNA could show its input layer, of which five more layers make the result."""
    model, graph = network(name)
    read_by: list[Tensor] = []
    top = model.lin2 if name == "dna" else model.conv2
    handle = top.register_forward_pre_hook(lambda module, args: read_by.append(args[0]))
    scores = model.eval()(graph)
    handle.remove()
    hidden = hidden_layer(model, graph)
    assert torch.equal(hidden, read_by[0]) and not torch.equal(hidden[:, : scores.size(1)], scores)


@pytest.mark.parametrize("name", NETWORKS)
def test_looking_leaves_the_model_and_the_random_numbers_alone(name):
    """Without it a run that was measured would end in other weights than one that was not."""
    model, graph = network(name)
    weights, others = copied_weights(model), {n: value + 1 for n, value in model.state_dict().items()}
    model.train()
    before = torch.get_rng_state()
    now = hidden_layer(model, graph)
    then = hidden_layer(model, graph, weights=others)
    assert not torch.equal(now, then) and torch.equal(hidden_layer(model, graph, weights=weights), now)
    assert torch.equal(torch.get_rng_state(), before) and all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, weights[n]) for n, value in model.state_dict().items())
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert not torch.equal(weights[next(iter(weights))], next(model.parameters()))  # a copy, not a view


def test_a_model_without_marks_has_no_hidden_layer():
    """Without it somebody's first model would fail where it is tested, after its training."""
    assert hidden_layer(nn.Linear(2, 2), torch.ones(3, 2)) is None


def trained(method: str, name: str) -> tuple[dict[str, float], Embedding]:
    """Test metrics and kept vectors of a short run on Cora's stand-in."""
    built = build(f"citation/{name}_cora", method, "task.epochs=3")
    loop = built.loop()
    loop.run()
    found = loop.test()
    return found, unpacked(built.task.artefacts()[files.SUFFIX])


def unpacked(content: bytes) -> Embedding:
    path = Path("some.npz")
    path.write_bytes(content)
    return read(path)


@in_a_folder
@pytest.mark.parametrize("name", NETWORKS)
def test_shallow_shows_the_random_initialisation_and_dfa_does_not(name):
    """Without it the control could have moved, and its picture would not be that of a random layer."""
    start = build(f"citation/{name}_cora", "bp").task
    labels = start.graph.y[start._shown]
    initial = hidden_layer(start.model, start.graph)[start._shown]
    of_shallow, shallow = trained("shallow", name)
    of_dfa, dfa = trained("dfa", name)
    assert np.array_equal(shallow.trained, shallow.initial)
    apart = separation(initial, labels)
    assert {key: of_shallow[key] for key in apart} == apart and {"accuracy", "silhouette", "knn_accuracy"} <= set(
        of_dfa
    )
    assert not np.allclose(dfa.trained, dfa.initial, rtol=1e-2)
    for kept in (shallow, dfa):
        np.testing.assert_allclose(kept.initial, initial, rtol=1e-3, atol=1e-5)
        assert kept.nodes.tolist() == sorted(start.held_out.tolist()) and kept.labels.tolist() == labels.tolist()


@in_a_folder
def test_the_numbers_are_of_the_test_nodes_and_the_tested_weights():
    """Without it they could be of training nodes, which training has told apart, or of the last weights."""
    task = build("citation/gcn_cora", "bp").task
    told = torch.nn.functional.one_hot(task.graph.y, 16).float()
    told[task.train] = 0
    told[task.valid] = 0
    task.model.hidden = lambda graph: told
    assert task.test() | {"accuracy": 0} == {"accuracy": 0, "silhouette": 1, "knn_accuracy": 100}
    told[task.held_out] = 0
    assert task.test()["silhouette"] == 0
    with torch.no_grad():
        del task.model.hidden
        for parameter in task.model.parameters():
            parameter.mul_(2)
    kept = unpacked(task.artefacts()[files.SUFFIX])
    np.testing.assert_allclose(kept.trained, 2 * kept.initial, rtol=1e-2, atol=1e-4)  # the biases start at zero


def embedding(nodes: int = 6, width: int = 3) -> Embedding:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(nodes, width, generator=generator) for _ in range(2)]
    return Embedding.of(torch.arange(nodes) * 100, torch.arange(nodes) % 3, *parts)


@in_a_folder
def test_a_file_gives_back_what_was_put_in_and_stays_small():
    """Without it before and after could change places, or DNA on PubMed leave megabytes beside every record."""
    large = embedding(MOST_NODES, 128)
    content = packed(large)
    assert len(content) < 1_000_000
    back = unpacked(content)
    assert np.array_equal(back.nodes, large.nodes) and np.array_equal(back.labels, large.labels)
    np.testing.assert_allclose(back.trained, large.trained, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(back.initial, large.initial, rtol=1e-3, atol=1e-7)
    wild = Embedding(large.nodes[:1], large.labels[:1], np.array([[1e9]]), np.array([[-1e9]]))
    assert np.isfinite(unpacked(packed(wild)).trained).all()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float16)


SPOILT: dict[str, Callable[[], bytes]] = {
    "cut off": lambda: packed(embedding())[:-40],
    "empty": lambda: b"",
    "text": lambda: b"nodes,labels",
    "a pickle": lambda: pickle.dumps({"nodes": 1}),
    "pickled entries": lambda: npz(nodes=np.array([None]), labels=ones(1), trained=ones(1, 1), initial=ones(1, 1)),
    "an entry short": lambda: npz(nodes=ones(2), labels=ones(2), trained=ones(2, 1)),
    "nodes missing": lambda: npz(nodes=ones(2), labels=ones(2), trained=ones(3, 1), initial=ones(3, 1)),
    "two widths": lambda: npz(nodes=ones(2), labels=ones(2), trained=ones(2, 1), initial=ones(2, 2)),
    "no nodes": lambda: npz(nodes=ones(0), labels=ones(0), trained=ones(0, 1), initial=ones(0, 1)),
}


@in_a_folder
@pytest.mark.parametrize("how", SPOILT)
def test_what_is_no_embedding_is_one_line(how):
    """Without it a damaged file would be a stack of calls, or run code that somebody put into it."""
    with pytest.raises(ValueError, match=r"^some\.npz: not an embedding \([^\n]*\); [^\n]*$"):
        unpacked(SPOILT[how]())
