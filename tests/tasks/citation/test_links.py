"""The graph autoencoder: which links it may see, and how it is scored."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from benchmarks.tasks.citation.classification import load_once
from benchmarks.tasks.citation.gae import LinkPrediction, Links, link_logits
from datasets.registry import resolve
from tests.helpers.runs import build

pytestmark = pytest.mark.usefixtures("folder")
DATASETS = ("cora", "citeseer", "pubmed")


class Fixed(nn.Module):
    """Gives the same embedding whatever the graph."""

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, graph: object) -> Tensor:
        return self.embedding


def pairs_of(index: Tensor) -> set[frozenset[int]]:
    """Unordered pairs."""
    return {frozenset(pair) for pair in index.T.tolist()}


def links_of(dataset: str) -> set[frozenset[int]]:
    """All links of the stand-in."""
    return pairs_of(load_once(resolve(dataset, "standin", "smoke")).edge_index)


@pytest.fixture(params=DATASETS)
def task(request: pytest.FixtureRequest) -> LinkPrediction:
    return build(f"citation/gae_{request.param}").task


@pytest.mark.parametrize("dataset", DATASETS)
def test_held_out_links_are_in_no_direction_in_the_training_graph(dataset):
    """Without it the encoder would be shown the links it is asked for, and the AUC would be near one."""
    task, links = build(f"citation/gae_{dataset}").task, links_of(dataset)
    train, valid, test = (
        pairs_of(index) for index in (task.graph.edge_index, task.valid.positive, task.held_out.positive)
    )
    assert train | valid | test == links
    assert len(train) + len(valid) + len(test) == len(links)
    assert len(valid) == int(0.05 * len(links)) and len(test) == int(0.1 * len(links))
    assert task.graph.edge_index.size(1) == 2 * len(train)  # both directions of each


@pytest.mark.parametrize("dataset", DATASETS)
def test_held_out_negatives_are_not_links(dataset):
    """Without it some negatives would be positives, and no model could reach a high AUC."""
    task, links = build(f"citation/gae_{dataset}").task, links_of(dataset)
    for part in (task.valid, task.held_out):
        assert not pairs_of(part.negative) & links
        assert part.negative.shape == part.positive.shape
        assert bool((part.negative[0] != part.negative[1]).all())


def test_training_negatives_are_drawn_from_what_training_does_not_know(task):
    """Without it links could be pulled and pushed at once, or held-out links betrayed by never being negatives."""
    nodes = task.graph.nodes
    known, held_out = (nodes * pairs[0] + pairs[1] for pairs in (task.graph.edge_index, task.held_out.positive))
    pairs = task._unlinked_pairs(400_000)
    drawn = nodes * pairs[0] + pairs[1]
    assert bool((pairs[0] != pairs[1]).all())
    assert not torch.isin(drawn, known).any()
    assert torch.isin(held_out, drawn).double().mean() > 0.3


def test_training_negatives_are_almost_as_many_as_asked_for(task):
    """Without it a wrong filter could leave a handful, and the loss would be a handful's mean."""
    nodes, count = task.graph.nodes, 50_000
    expected = count * (1 - (task.known.numel() + nodes) / nodes**2)
    assert abs(task._unlinked_pairs(count).size(1) - expected) < 6 * math.sqrt(count - expected)


def test_split_follows_the_seed():
    """Without it ten seeds would be one split, or the methods of one seed three splits."""
    same, again, other = (
        build("citation/gae_cora", method, f"seed={seed}").task.held_out
        for method, seed in (("dfa", 0), ("bp", 0), ("dfa", 1))
    )
    assert torch.equal(same.positive, again.positive) and torch.equal(same.negative, again.negative)
    assert not torch.equal(same.positive, other.positive)


def test_loss_is_the_reconstruction_loss(task, monkeypatch):
    """Without it links and non-links could be swapped or weighed by their number."""
    task.model = Fixed(torch.randn(task.graph.nodes, 4, generator=torch.Generator().manual_seed(0)))
    unlinked = torch.tensor([[0, 5, 9], [1, 7, 2]])
    monkeypatch.setattr(task, "_unlinked_pairs", lambda count: unlinked)
    linked_p = link_logits(task.model.embedding, task.graph.edge_index).sigmoid()
    unlinked_p = link_logits(task.model.embedding, unlinked).sigmoid()
    by_hand = -linked_p.log().mean() - (1 - unlinked_p).log().mean()
    torch.testing.assert_close(task.loss(None), by_hand)
    assert task.samples(None) == task.graph.nodes


def test_auc_by_hand(task):
    """Without it scores and truths could be paired wrongly, which a good model would not show."""
    task.model = Fixed(torch.tensor([[1.0], [0.9], [0.5], [-0.2]]))
    #  scores: links 0.9 and −0.18; not links 0.45 and −0.2. Of the four comparisons the links win three.
    pairs = Links(torch.tensor([[0, 1], [1, 3]]), torch.tensor([[1, 0], [2, 3]]))
    task.held_out = task.valid = pairs
    #  by falling score: link, non-link, link, non-link: precision 1/1 at the first link, 2/3 at the second
    assert task.test() == {"auc": 0.75, "average_precision": pytest.approx((1 + 2 / 3) / 2)}
    assert task.validate() == {"valid_auc": 0.75, "valid_average_precision": pytest.approx((1 + 2 / 3) / 2)}


def test_embedding_that_is_not_finite_gives_no_score(task):
    """Without it a run that diverged would end in an error of the scoring library."""
    task.model = Fixed(torch.full((task.graph.nodes, 4), torch.nan))
    assert all(math.isnan(value) for value in task.test().values())


def test_methods_order_on_the_stand_in():
    """Without it the embeddings could carry no more than degrees, which any weights do."""
    auc = {method: build("citation/gae_cora", method).test_metric() for method in ("bp", "dfa", "shallow")}
    assert auc["bp"] >= auc["dfa"] - 0.05, auc
    assert auc["dfa"] > auc["shallow"] + 0.08, auc
