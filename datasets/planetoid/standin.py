"""Generated citation graphs: communities with class-dependent words, written as the raw files of Planetoid.

A planted partition with unequal degrees: an edge stays inside a class with probability `homophily`, else it
ends anywhere, and busy nodes draw more of them. A document's words come from the topic of its class with
probability `topic_share`, else from a common background. One alone is a weak hint; together they decide
most nodes, as in the real graphs. Homophily is above theirs: their links follow topics finer than the
classes as well, without which links would be harder to predict than they are.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from scipy.sparse import csr_matrix

from datasets.core.standin import StandIn
from datasets.planetoid.manifest import PARTS, file_name

_VERSION = 3
_SEED = 20200623
_PER_CLASS = 20  # labelled nodes of each class, as in the public split


@dataclass(frozen=True)
class CitationSettings:
    """Size and difficulty of a generated graph.

    name: prefix of the files. nodes, words, classes: N, F, C. test: how many of the last nodes are test
    nodes, of which `isolated` are without edges and left out of the files. degree: mean. words_per_node:
    mean. tfidf: real-valued, length-normalised features instead of 0/1.
    """

    name: str
    nodes: int
    words: int
    classes: int
    test: int
    isolated: int
    degree: float
    homophily: float
    words_per_node: float
    topic_share: float
    tfidf: bool

    @property
    def labelled(self) -> int:
        """Training nodes; they come first."""
        return _PER_CLASS * self.classes


def write_citation(folder: Path, settings: CitationSettings) -> None:
    """Write the eight raw files; the same settings give the same bytes."""
    rng = np.random.default_rng([_SEED, crc32(settings.name.encode()), settings.nodes])
    labels = _draw_labels(rng, settings)
    isolated = _draw_isolated(rng, settings)
    features = _draw_features(rng, settings, labels)
    graph = _draw_graph(rng, settings, labels, isolated)
    known = settings.nodes - settings.test
    tested = rng.permutation(np.setdiff1d(np.arange(known, settings.nodes), isolated))
    one_hot = np.eye(settings.classes, dtype=np.int32)[labels]
    contents = {
        "x": features[: settings.labelled],
        "tx": features[tested],
        "allx": features[:known],
        "y": one_hot[: settings.labelled],
        "ty": one_hot[tested],
        "ally": one_hot[:known],
        "graph": graph,
    }
    for part, content in contents.items():
        (folder / file_name(settings.name, part)).write_bytes(pickle.dumps(content, protocol=2))
    lines = "".join(f"{node}\n" for node in tested)
    (folder / file_name(settings.name, "test.index")).write_text(lines, encoding="ascii", newline="\n")


def _draw_labels(rng: np.random.Generator, settings: CitationSettings) -> np.ndarray:
    """(N,): as many labelled nodes of each class first, then classes at random."""
    labelled = rng.permutation(np.repeat(np.arange(settings.classes), _PER_CLASS))
    rest = rng.integers(settings.classes, size=settings.nodes - settings.labelled)
    return np.concatenate([labelled, rest])


def _draw_isolated(rng: np.random.Generator, settings: CitationSettings) -> np.ndarray:
    """Test nodes, but neither the first nor the last: readers infer from those two where the gaps are."""
    known = settings.nodes - settings.test
    return known + 1 + rng.choice(settings.test - 2, size=settings.isolated, replace=False)


def _draw_features(rng: np.random.Generator, settings: CitationSettings, labels: np.ndarray) -> csr_matrix:
    """(N, F) float32, sparse; no document is empty."""
    background = _zipf(settings.words)
    words_by_rank = [rng.permutation(settings.words) for _ in range(settings.classes + 1)]
    topic = _zipf(settings.words // settings.classes)
    length = 1 + rng.poisson(settings.words_per_node - 1, size=settings.nodes)
    document = np.repeat(np.arange(settings.nodes), length)
    from_topic = rng.random(len(document)) < settings.topic_share
    rank = np.where(from_topic, _draw(rng, topic, len(document)), _draw(rng, background, len(document)))
    # A topic is the head of the class's own ranking of all words, so topics overlap.
    ranking = np.where(from_topic, labels[document], settings.classes)
    word = np.stack(words_by_rank)[ranking, rank]
    counts = csr_matrix((np.ones(len(word)), (document, word)), shape=(settings.nodes, settings.words))
    counts.sum_duplicates()
    counts.data = _tfidf(counts) if settings.tfidf else np.ones_like(counts.data)
    return counts.astype(np.float32)


def _tfidf(counts: csr_matrix) -> np.ndarray:
    """Non-zero values of the counts weighted by the rarity of their word; every row of length one."""
    n_documents = counts.shape[0]
    document = np.repeat(np.arange(n_documents), np.diff(counts.indptr))
    documents_with_word = np.bincount(counts.indices, minlength=counts.shape[1])
    weight = counts.data * np.log1p(n_documents / documents_with_word[counts.indices])
    return weight / np.sqrt(np.bincount(document, weight**2))[document]


def _draw_graph(
    rng: np.random.Generator, settings: CitationSettings, labels: np.ndarray, isolated: np.ndarray
) -> dict[int, list[int]]:
    """Neighbours by node; as in the real files, some edges stand there twice and some are self-loops."""
    # Weights between 1 and 10, small ones common: a few hubs, many leaves.
    weight = 1 / (0.1 + 0.9 * rng.random(settings.nodes))
    weight[isolated] = 0
    n_edges = int(settings.nodes * settings.degree / 2)
    start = _draw(rng, weight, n_edges)
    end = _draw(rng, weight, n_edges)
    inside = rng.random(n_edges) < settings.homophily
    for label in range(settings.classes):
        chosen = inside & (labels[start] == label)
        end[chosen] = _draw(rng, weight * (labels == label), int(chosen.sum()))
    graph: dict[int, list[int]] = {node: [] for node in range(settings.nodes)}
    for one, other in zip(start.tolist(), end.tolist(), strict=True):
        graph[one].append(other)
        graph[other].append(one)
    return graph


def _zipf(size: int) -> np.ndarray:
    """Weights of ranked words: common ones first, with a flattened head."""
    return 1 / (5.0 + np.arange(size))


def _draw(rng: np.random.Generator, weight: np.ndarray, size: int) -> np.ndarray:
    """`size` indices with probability in proportion to weight."""
    cumulative = np.cumsum(weight)
    return np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")


_CORA = CitationSettings(
    name="cora",
    nodes=1300,
    words=500,
    classes=7,
    test=500,
    isolated=0,
    degree=3.9,
    homophily=0.88,
    words_per_node=12,
    topic_share=0.2,
    tfidf=False,
)
_CITESEER = replace(
    _CORA,
    name="citeseer",
    nodes=1308,
    classes=6,
    test=508,
    isolated=8,
    degree=2.8,
    homophily=0.9,
)
_PUBMED = replace(
    _CORA,
    name="pubmed",
    nodes=2500,
    words=300,
    classes=3,
    test=1000,
    degree=4.5,
    homophily=0.9,
    words_per_node=20,
    topic_share=0.13,
    tfidf=True,
)


def _standin(settings: CitationSettings, nodes: int, topic_share: float) -> StandIn:
    """The stand-in of these settings, and a smaller one for the smoke profile.

    nodes: about the least that the split leaves room for. topic_share: with fewer words to choose from each
    one says more, so that fewer have to.
    """
    smoke = replace(settings, nodes=nodes, words=100, test=100 + settings.isolated, topic_share=topic_share)
    files = tuple(file_name(settings.name, part) for part in PARTS)
    # Typed as Any in StandIn: each generator has settings of its own.
    by_profile: dict[str, Any] = {"smoke": smoke, "default": settings}
    return StandIn(settings.name, _VERSION, files, by_profile, write_citation)


STANDINS = {
    "cora": _standin(_CORA, nodes=760, topic_share=0.2),
    "citeseer": _standin(_CITESEER, nodes=748, topic_share=0.19),
    "pubmed": _standin(_PUBMED, nodes=700, topic_share=0.14),
}
