"""The domain of citation graphs: its networks, graphs, metrics and tables."""

from __future__ import annotations

from benchmarks.catalogue.domain import Architecture, Domain, TableSpec, Task
from benchmarks.catalogue.metric import ALIGNMENT, Metric

_CONFIG = "benchmarks.tasks.citation.config"
_ONE_MODULE = {"bp_recompute": "no submodule holds feedback points: nothing to recompute by itself"}
GRAPHS = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed"}

#: A network of two layers has one feedback point, in its own forward pass.
_ONE_POINT = {"pepita": "one feedback point: nothing above it to compare between two passes", **_ONE_MODULE}

ARCHITECTURES = (
    Architecture("cheb", "ChebConv", f"{_CONFIG}:ChebConfig", "benchmarks.tasks.citation.cheb:Cheb", skip=_ONE_POINT),
    Architecture("gcn", "GCN", f"{_CONFIG}:GCNConfig", "benchmarks.tasks.citation.gcn:GCN", skip=_ONE_POINT),
    Architecture(
        "spline", "SplineConv", f"{_CONFIG}:SplineConfig", "benchmarks.tasks.citation.spline:Spline", skip=_ONE_POINT
    ),
    Architecture("gat", "GATConv", f"{_CONFIG}:GATConfig", "benchmarks.tasks.citation.gat:GAT", skip=_ONE_POINT),
    Architecture("dna", "DNAConv", f"{_CONFIG}:DNAConfig", "benchmarks.tasks.citation.dna:DNA", skip=_ONE_MODULE),
    Architecture(
        "gae",
        "GAE",
        f"{_CONFIG}:GAEConfig",
        builder="benchmarks.tasks.citation.gae:LinkPrediction",
        metrics=("auc", "average_precision", "valid_auc", "valid_average_precision"),
        skip=_ONE_POINT,
        lacks={"targets": "a node has no class: links are what is predicted"},
    ),
)

TABLES = (
    TableSpec("overview_citation", "Citation networks, all methods side by side: test accuracy (%)", ("accuracy",)),
    TableSpec(
        "table_3",
        "Table 3: citation networks, test accuracy (%)",
        ("accuracy",),
        without=("shallow",),
        shown=False,
    ),
    TableSpec(
        "table_4",
        "Table 4: graph autoencoder, link prediction, AUC and average precision",
        ("auc", "average_precision"),
        decimals=3,
    ),
    TableSpec("table_a2", "Table A.2: alignment of graph networks, cosine at the deepest feedback point", ALIGNMENT),
    TableSpec(
        "embeddings_citation",
        "Citation networks, hidden layer of the test nodes: silhouette and 1-nearest-neighbour accuracy (%)",
        ("silhouette", "knn_accuracy"),
        shown=False,
    ),
    TableSpec(
        "table_a4",
        "Table A.4: citation networks, shallow training, test accuracy (%)",
        ("accuracy",),
        methods=("shallow",),
        shown=False,
    ),
)

DOMAIN = Domain(
    name="citation",
    title="citation networks",
    task=f"{_CONFIG}:CitationConfig",
    builder="benchmarks.tasks.citation.classification:NodeClassification",
    architectures=ARCHITECTURES,
    datasets=GRAPHS,
    measures=("accuracy", "valid_accuracy", "silhouette", "knn_accuracy"),
    metrics=(
        Metric("knn_accuracy", "1-nearest-neighbour accuracy", decimals=1, unit="%", min_effect=0.5,
               rerun_tolerance=2.0, short="1-NN", minimum=0.0, maximum=100.0),
        Metric("silhouette", "silhouette", decimals=2, min_effect=0.02, minimum=-1.0, maximum=1.0),
        Metric("average_precision", "average precision", min_effect=0.002, rerun_tolerance=0.01, short="AP",
               minimum=0.0, maximum=1.0),
    ),
    tasks=tuple(Task(f"citation/{one.name}_{graph}", one.name, graph) for one in ARCHITECTURES for graph in GRAPHS),
    tables=TABLES,
    example="citation/gcn_cora",
    loss_tolerance=1e-4,  # runs hardly amplify rounding
    former_names=("geometric",),
)  # fmt: skip
