"""Node classification: splits, accuracy, losses, and the order of the methods."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks.citation.classification import NodeClassification, _split, load_once
from benchmarks.tasks.citation.graph import Graph
from datasets.registry import resolve
from tests.helpers.citation_samples import sample_data
from tests.helpers.runs import build

pytestmark = pytest.mark.usefixtures("folder")
SIZES = {"cora": (760, 7, 100), "citeseer": (748, 6, 100), "pubmed": (700, 3, 100)}  # of the smoke stand-ins


class Fixed(nn.Module):
    """Gives the same scores whatever the graph."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, graph: Graph) -> Tensor:
        return self.scores


def scores_right_on(task: NodeClassification, right: Tensor) -> Tensor:
    """Scores whose largest entry is the label of the nodes ``right``, and another class elsewhere."""
    guess = (task.graph.y + 1) % task.graph.classes
    guess[right] = task.graph.y[right]
    return F.one_hot(guess, task.graph.classes).float()


@pytest.mark.parametrize("dataset", SIZES)
def test_public_split_has_its_sizes(dataset):
    """Without it nodes could be trained on and tested on, and every accuracy would be too good."""
    nodes, classes, tested = SIZES[dataset]
    task = build(f"citation/gcn_{dataset}").task
    assert task.graph.nodes == nodes
    assert torch.bincount(task.graph.y[task.train]).tolist() == [20] * classes
    assert (task.valid.numel(), task.held_out.numel()) == (500, tested)
    together = torch.cat([task.train, task.valid, task.held_out])
    assert len(together.unique()) == len(together)


def test_public_split_is_the_same_for_all_seeds():
    """Without it repetitions would differ by their split, which the published ones do not."""
    splits = [build("citation/gcn_cora", "dfa", f"seed={seed}").task for seed in (0, 1)]
    assert torch.equal(splits[0].held_out, splits[1].held_out)


@pytest.mark.parametrize("dataset", SIZES)
def test_folds_are_stratified_and_disjoint(dataset):
    """Without it DNA could train on more than one fold in five, or on a fold without one of the classes."""
    task = build(f"citation/dna_{dataset}").task
    labels = task.graph.y
    parts = [task.train, task.valid, task.held_out]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(task.graph.nodes))
    for part, share in zip(parts, (1, 1, 3), strict=True):
        assert abs(part.numel() - share * task.graph.nodes / 5) <= 1 + share
        per_class = torch.bincount(labels[part], minlength=task.graph.classes)
        assert bool(((per_class - share * torch.bincount(labels) / 5).abs() <= share).all())


def test_folds_follow_the_seed():
    """Without it ten seeds would be ten times the same split, or the methods of one seed would have three."""
    data = sample_data(nodes=60)
    same, again, other = (_split(data, "folds", seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(same, again, strict=True))
    assert not torch.equal(same[0], other[0])


def test_unknown_split_is_refused():
    """Without it a typo would train on the default split under another name."""
    with pytest.raises(ValueError, match=r"task\.split='fold': choose public or folds"):
        _split(sample_data(), "fold", 0)


def test_accuracy_counts_in_percent_over_its_own_nodes():
    """Without it validation could look at test nodes, or the table's percent be a fraction."""
    task = build("citation/gcn_cora").task
    task.model = Fixed(scores_right_on(task, torch.cat([task.held_out[:30], task.valid[:125]])))
    assert task.test() == {"accuracy": pytest.approx(30.0)}
    assert task.validate() == {"valid_accuracy": pytest.approx(25.0)}


def test_training_loss_is_the_cross_entropy_of_the_training_nodes():
    """Without it a mean over all nodes, or over test nodes too, would only look like a smaller learning rate."""
    task = build("citation/gcn_cora").task
    task.model = Fixed(torch.randn(task.graph.nodes, 7, generator=torch.Generator().manual_seed(0)))
    log_p = task.model.scores.log_softmax(1)
    by_hand = -sum(log_p[node, task.graph.y[node]] for node in task.train.tolist()) / task.train.numel()
    torch.testing.assert_close(task.loss(None), by_hand)
    assert task.samples(None) == task.train.numel()


@pytest.mark.parametrize("tap", ["scores", "log_softmax"])
def test_alignment_is_measured_over_all_nodes(tap):
    """Without it most nodes would have no error, hence no angle, and the mean would stand for a few."""
    built = build("citation/dna_cora", "dfa", f"task.model.tap={tap}")
    errors = []
    built.method.signals = lambda forward_pass: errors.append(forward_pass.error) or {}
    built.method.backward(built.task.loss(built.task.alignment_batch()))
    assert bool((errors[0].abs().sum(1) > 0).all())
    mean_error = errors[0].abs().sum(1).mean().item() * built.task.graph.nodes
    assert 0.9 <= mean_error <= 2  # each node's |p − onehot|, weighed by 1/nodes; 1 where the tap is constant


def test_normalised_features_sum_to_one_and_leave_the_data_alone():
    """Without it the second task of a worker would get features normalised by the first, Spline's among them."""
    data = sample_data()
    before = data.x.clone()
    graph = Graph.of(data, normalize=True)
    sums = graph.x.pattern.matrix(graph.x.values).to_dense().sum(1)
    assert torch.equal(data.x, before)
    large = before.sum(1) >= 1
    torch.testing.assert_close(sums[large], torch.ones(int(large.sum())))
    assert sums[1] == 0  # a node without words stays without


def test_tasks_leave_the_shared_graph_alone():
    """Without it a run's result would depend on what ran before it in the same worker."""
    data = load_once(resolve("cora", "standin", "smoke"))
    before = {key: value.clone() for key, value in data}
    for architecture in ("gcn", "spline", "gae", "dna"):
        build(f"citation/{architecture}_cora")
    assert {key: True for key in before} == {key: torch.equal(value, before[key]) for key, value in data}


def test_methods_order_on_the_stand_in():
    """Without it everything could be wired right and yet DFA learn nothing, or the stand-in tell nobody anything."""
    accuracy = {
        method: build("citation/gcn_cora", method, "task.epochs=80", profile="quick").test_metric()
        for method in ("bp", "dfa", "shallow")
    }
    assert accuracy["bp"] >= accuracy["dfa"] - 3, accuracy
    assert accuracy["dfa"] > accuracy["shallow"] + 25, accuracy


def test_a_silent_shallow_fails_the_order(monkeypatch):
    """A sabotage: signals of zero, which leave gradients everywhere, must not pass for DFA."""
    built = build("citation/gcn_cora", "dfa", "task.epochs=80", profile="quick")
    signals = built.method.signals
    built.method.signals = lambda forward_pass: {n: 0 * s for n, s in signals(forward_pass).items()}
    shallow = build("citation/gcn_cora", "shallow", "task.epochs=80", profile="quick").test_metric()
    assert built.test_metric() < shallow + 25
